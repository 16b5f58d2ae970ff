"""Which recipes there are, in the order in which they build on each other, and how each is put together."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.mini.recipes.loop import Budget, Recipe, train

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL

    from stylehead.mini.recipes.pictures import PictureSource

Build = Callable[[Path, Path, Path], Recipe]
"""From the folder of renders, the folder of all runs and the folder of the exported weights to a recipe."""


def _generator(_data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.generator import GeneratorRecipe, config_in
    from stylehead.mini.recipes.people import PeopleStream

    return GeneratorRecipe(PeopleStream(), config_in(export))


def _mapping(_data: Path, work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.generator import config_in
    from stylehead.mini.recipes.mapping import MappingRecipe, load_generator_model, numbers_from_z

    return MappingRecipe(load_generator_model(work, config_in(export)), numbers_from_z)


def _finish(_data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.generator import PanoHead
    from stylehead.mini.recipes.finish import FinishRecipe
    from stylehead.mini.recipes.people import PeopleStream

    return FinishRecipe(PeopleStream(), PanoHead.load(export / "generator.safetensors"))


def _vae(data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.vae import VaeRecipe

    editor = export / "ip2p" / "unet"  # sees latents of this encoder
    return VaeRecipe(_pictures(data, grid_part=0.15), fixed_encoder=editor.is_dir())


def _denoiser(data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.denoiser import DenoiserRecipe
    from stylehead.mini.recipes.pictures import any_wording

    return DenoiserRecipe(_pictures(data, describe=any_wording), export / "ip2p")


def _text(_data: Path, work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.text import TextRecipe

    return TextRecipe(export / "teacher", work)


def _instruction(data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.instruction import InstructionRecipe

    return InstructionRecipe(_pictures(data, grid_part=0.0), export / "ip2p")


def _face_adapter(data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.face_adapter import FaceAdapterRecipe
    from stylehead.perception.embedded import IdentityEncoder

    faces = IdentityEncoder.load(export / "identity.safetensors")
    return FaceAdapterRecipe(_pictures(data, grid_part=0.0), export / "teacher", faces)


def _identity(data: Path, _work: Path, _export: Path) -> Recipe:
    from stylehead.mini.recipes.data import load_views
    from stylehead.mini.recipes.encoders import IdentityRecipe

    return IdentityRecipe(load_views(data / "photo"), load_views(data / "styled"))


def _style(data: Path, _work: Path, export: Path) -> Recipe:
    from stylehead.mini.recipes.encoders import StyleRecipe

    return StyleRecipe(_pictures(data), _trained_vae(export))


def _image_text(data: Path, work: Path, _export: Path) -> Recipe:
    from stylehead.mini.recipes.encoders import ImageTextRecipe

    return ImageTextRecipe(_pictures(data, grid_part=0.0), work)


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
}
RECIPES = tuple(_BUILD)


def run(
    name: str, budget: Budget, *, data: Path, work: Path, export: Path, device: "torch.device | str" = "cpu"
) -> None:
    """Train one recipe.

    Args:
        name: One of `RECIPES`.
        budget: How long.
        data: Folder with the renders.
        work: Folder of all runs; this one's is `work/name`.
        export: Where embedded weights go.
        device: Where to train.
    """
    work.mkdir(parents=True, exist_ok=True)
    recipe = _BUILD[name](data, work, export)
    train(recipe, budget, work / name, export, report=_report, device=device)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _pictures(data: Path, **options: Any) -> "PictureSource":
    from stylehead.mini.recipes.data import load_views
    from stylehead.mini.recipes.pictures import PictureSource

    styled = load_views(data / "styled")
    photo = load_views(data / "photo", limit=max(600, len(set(styled.identities.tolist()))))
    return PictureSource(photo, styled, **options)


def _trained_vae(export: Path) -> "AutoencoderKL":
    import torch
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(export / "ip2p" / "vae", torch_dtype=torch.float32)
