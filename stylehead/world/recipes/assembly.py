"""Which recipes there are, in the order in which they build on each other, and how each is put together."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.world.recipes.loop import Budget, Recipe, train

if TYPE_CHECKING:
    import torch

    from stylehead.world.recipes.people import PeopleStream
    from stylehead.world.recipes.training_pictures import PictureSource


@dataclass(frozen=True)
class Place:
    """Where recipes read, write and compute.

    Attributes:
        data: Folder of renders.
        work: Folder of all runs; a recipe's is `work/name`.
        export: Folder of the exported weights.
        device: Where to train.
        rehearsal: Batches and pools as small as they can be: to see that everything runs.
        workers: Processes that draw people for the generator.
        everything: What builds on a network is trained after it: the autoencoder's encoder may learn.
    """

    data: Path
    work: Path
    export: Path
    device: "torch.device | str" = "cpu"
    rehearsal: bool = False
    workers: int = 1
    everything: bool = False

    @property
    def editor(self) -> Path:
        """Folder of the editor, whose autoencoder and text encoder others share."""
        return self.export / "ip2p"

    def batch(self, usual: int) -> dict[str, int]:
        """How many examples a step takes: more where the memory is large."""
        from stylehead.world.recipes.computing import batch_factor

        return {"batch": 4 if self.rehearsal else usual * batch_factor(self.device)}


Build = Callable[[Place], Recipe]


def _generator(at: Place) -> Recipe:
    from stylehead.world.recipes.train_generator import GeneratorRecipe, config_in

    sizes = {"identities": 2, "views_each": 2} if at.rehearsal else {}
    return GeneratorRecipe(_people(at), config_in(at.export), **sizes)


def _mapping(at: Place) -> Recipe:
    from stylehead.world.heads.identity import numbers_from_z
    from stylehead.world.recipes.train_generator import config_in
    from stylehead.world.recipes.train_mapping import MappingRecipe, load_generator_model

    sizes = {"bank": 4096} if at.rehearsal else {}
    return MappingRecipe(load_generator_model(at.work, config_in(at.export)), numbers_from_z, **sizes)


def _finish(at: Place) -> Recipe:
    from stylehead.generator import PanoHead
    from stylehead.world.recipes.train_finish import FinishRecipe

    return FinishRecipe(_people(at), PanoHead.load(at.export / "generator.safetensors"))


def _vae(at: Place) -> Recipe:
    from stylehead.world.recipes.train_vae import VaeRecipe

    fixed = not at.everything and (at.editor / "unet").is_dir()  # which sees latents of this encoder
    return VaeRecipe(_pictures(at, grid_part=0.15), fixed_encoder=fixed, **at.batch(6))


def _text(at: Place) -> Recipe:
    from stylehead.world.recipes.train_text import TextRecipe

    return TextRecipe(at.export / "teacher", at.work, **at.batch(32))


def _instruction(at: Place) -> Recipe:
    from stylehead.world.recipes.train_instruction import InstructionRecipe

    sizes = {"prompts": 4} if at.rehearsal else {}
    source = _pictures(at, grid_part=0.0)
    return InstructionRecipe(source, at.editor, device=at.device, **at.batch(24), **sizes)


def _denoiser(at: Place) -> Recipe:
    from stylehead.world.recipes.train_denoiser import DenoiserRecipe
    from stylehead.world.recipes.training_pictures import any_wording

    source = _pictures(at, describe=any_wording)
    return DenoiserRecipe(source, at.editor, device=at.device, **at.batch(24))


def _face_adapter(at: Place) -> Recipe:
    from stylehead.perception.embedded import IdentityEncoder
    from stylehead.world.recipes.train_face_adapter import FaceAdapterRecipe

    faces = IdentityEncoder.load(at.export / "identity.safetensors")
    source = _pictures(at, grid_part=0.0)
    return FaceAdapterRecipe(source, at.export / "teacher", faces, device=at.device, **at.batch(24))


def _identity(at: Place) -> Recipe:
    from stylehead.world.recipes.data import load_renders
    from stylehead.world.recipes.train_encoders import IdentityRecipe

    sizes = {"people": 4} if at.rehearsal else {}
    return IdentityRecipe(load_renders(at.data / "photo"), load_renders(at.data / "styled"), **sizes)


def _style(at: Place) -> Recipe:
    from diffusers import AutoencoderKL

    from stylehead.world.recipes.networks import trained
    from stylehead.world.recipes.train_encoders import StyleRecipe

    vae = trained(AutoencoderKL, at.editor / "vae", at.device)
    return StyleRecipe(_pictures(at), vae, **at.batch(48))


def _image_text(at: Place) -> Recipe:
    from stylehead.world.recipes.train_encoders import ImageTextRecipe

    return ImageTextRecipe(_pictures(at, grid_part=0.0), at.work, **at.batch(48))


def _style_judge(at: Place) -> Recipe:
    from stylehead.world.recipes.data import load_renders
    from stylehead.world.recipes.train_judges import StyleJudgeRecipe

    judged, styled = load_renders(at.data / "judged"), load_renders(at.data / "judgedstyled")
    return StyleJudgeRecipe(judged, styled, **at.batch(48))


def _identity_judge(at: Place) -> Recipe:
    from stylehead.world.recipes.data import load_renders
    from stylehead.world.recipes.train_judges import IdentityJudgeRecipe

    return IdentityJudgeRecipe(load_renders(at.data / "judged"), load_renders(at.data / "judgedstyled"))


def _attributes(at: Place) -> Recipe:
    from stylehead.world.recipes.people import PeopleStream
    from stylehead.world.recipes.train_attributes import VIEWS, AttributesRecipe, draw_portrait

    sizes = {"least": 4} if at.rehearsal else {"least": 400, "size": 12_000}
    people = PeopleStream(workers=at.workers, views=VIEWS, draw_one=draw_portrait, **sizes)
    return AttributesRecipe(people, **at.batch(48))


_BUILD: dict[str, Build] = {
    "generator": _generator,
    "mapping": _mapping,
    "finish": _finish,
    "vae": _vae,
    "text": _text,
    "instruction": _instruction,
    "denoiser": _denoiser,
    "identity": _identity,
    "style": _style,
    "image_text": _image_text,
    "face_adapter": _face_adapter,
    "style_judge": _style_judge,
    "identity_judge": _identity_judge,
    "attributes": _attributes,
}
RECIPES = tuple(_BUILD)


def run(
    name: str, budget: Budget, at: Place, *, report: Callable[[str], None] | None = None
) -> dict[str, float]:
    """Train one recipe; returns the last figures of its log.

    Args:
        name: One of `RECIPES`.
        budget: How long.
        at: Where to read, write and compute.
        report: Takes a line of progress at a time; standard error by default.
    """
    at.work.mkdir(parents=True, exist_ok=True)
    recipe = _BUILD[name](at)
    try:
        return train(recipe, budget, at.work / name, at.export, report=report or _report, device=at.device)
    finally:
        if (close := getattr(getattr(recipe, "people", None), "close", None)) is not None:
            close()  # ends the processes that draw them


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _people(at: Place) -> "PeopleStream":
    from stylehead.world.recipes.people import PeopleStream

    return PeopleStream(workers=at.workers, least=4) if at.rehearsal else PeopleStream(workers=at.workers)


def _pictures(at: Place, **options: Any) -> "PictureSource":
    from stylehead.world.heads import TRAINING_SEED_BASE
    from stylehead.world.recipes.data import load_renders
    from stylehead.world.recipes.training_pictures import PictureSource

    styled = load_renders(at.data / "styled")
    last = int(styled.identities.max()) - TRAINING_SEED_BASE  # others may still be drawn by other processes
    photo = load_renders(at.data / "photo", limit=max(600, last + 1))
    return PictureSource(photo, styled, **options)
