"""LD whose score comes from an editor, against the same maths written out slowly."""

import copy
import math
import shutil
from pathlib import Path

import pytest
import torch
from test_objective import BARE, SOME, SUPER, Slow, assert_close, trained
from tiny_teacher import write_tiny_editors, write_tiny_teacher

from stylehead.errors import JobError
from stylehead.generator import PanoHead
from stylehead.images import resize
from stylehead.jobs.needs import list_needs
from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.contract import Networks
from stylehead.methods.ld import EDITED, LikelihoodDistillation
from stylehead.methods.registry import method_class
from stylehead.methods.stages import merge
from stylehead.teacher import ControlCondition, NoisyLatents, Teacher, TeacherPaths
from stylehead.teacher.check import check_teacher
from stylehead.teacher.editing import InstructPix2Pix
from stylehead.teacher.editing.teaching import PICTURE, EditingTeacher
from stylehead.weights.presets import Preset

SCALES = (3.0, 1.7)
"""Of text and of picture."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An editor that is whole, as `ip2p`, and the teacher that it was made from."""
    folder = tmp_path_factory.mktemp("editors")
    write_tiny_teacher(folder / "teacher")
    write_tiny_editors(folder)
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(folder / "teacher" / part, folder / "ip2p" / part)
    return folder


@pytest.fixture(scope="module")
def editing(root: Path) -> EditingTeacher:
    teacher = EditingTeacher.load(TeacherPaths(root / "ip2p", edits=True))
    assert isinstance(teacher, EditingTeacher)
    teacher.picture_scale = SCALES[1]
    return teacher


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(pristine: PanoHead, editing: EditingTeacher, **settings: object) -> Stylizer:
    config = StylizeConfig.from_dict({"prompt": "a rosa", "method": "ld", "iterations": 3, **settings})
    return Stylizer(copy.deepcopy(pristine), pristine, config, Networks(teacher=editing))


def slow_eps(teacher: Teacher, x_t: torch.Tensor, t: torch.Tensor, picture_01: torch.Tensor, prompt: str):
    """Ask the denoiser three times, one picture each, and guide by Eq. 3 of InstructPix2Pix."""
    vae, unet = teacher.parts.vae, teacher.parts.unet
    words = teacher.encode_prompt(prompt)
    guided = []
    for one, at, shown in zip(x_t, t, picture_01, strict=True):
        with torch.no_grad():
            seen = vae.encode(shown[None] * 2 - 1).latent_dist.mode()
            asked = [
                unet(torch.cat([one[None], latents], dim=1), at, encoder_hidden_states=hidden).sample
                for latents, hidden in (
                    (seen, words.cond), (seen, words.uncond), (torch.zeros_like(seen), words.uncond),
                )
            ]  # fmt: skip
        both, picture, neither = asked
        guided.append(neither + SCALES[1] * (picture - neither) + SCALES[0] * (both - picture))
    return torch.cat(guided)


def test_guided_predictions_are_those_of_three_questions(editing: EditingTeacher) -> None:
    latents, t = noise(1, 2, 4, 8, 8), torch.tensor([981, 21])
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    condition = ControlCondition(PICTURE, pictures)
    pair = editing.predict(latents, t, editing.encode_prompt("a rosa"), condition=condition)
    expected = slow_eps(editing, latents, t, pictures, "a rosa")
    torch.testing.assert_close(pair.guided(SCALES[0]), expected, rtol=1e-4, atol=1e-4)


def test_they_are_those_of_the_editor_that_edits(editing: EditingTeacher, root: Path) -> None:
    editor = InstructPix2Pix.load(root / "ip2p")
    editor.text_scale, editor.picture_scale = SCALES
    latents, t, picture = noise(3, 1, 4, 8, 8), torch.tensor([501]), torch.rand(1, 3, 32, 32)
    text = torch.cat([editor._embed("a rosa"), editor._embed("")])
    with torch.no_grad():
        theirs = editor._predict(latents, editor._encode(picture), text, t[0])
    condition = ControlCondition(PICTURE, picture)
    ours = editing.predict(latents, t, editing.encode_prompt("a rosa"), condition=condition)
    torch.testing.assert_close(ours.guided(SCALES[0]), theirs, rtol=1e-4, atol=1e-4)


def test_one_question_at_a_time_answers_the_same(editing: EditingTeacher, root: Path) -> None:
    from stylehead.memory import TIERS

    frugal = EditingTeacher.load(TeacherPaths(root / "ip2p", edits=True))
    assert isinstance(frugal, EditingTeacher)
    frugal.picture_scale = SCALES[1]
    frugal.save_memory(TIERS["8"])
    text = editing.encode_prompt("a rosa")
    several = [
        NoisyLatents(
            noise(n, n, 4, 8, 8), torch.full((n,), 301), ControlCondition(PICTURE, torch.rand(n, 3, 32, 32))
        )
        for n in (1, 2)
    ]
    for one, other in zip(editing.predict_all(several, text), frugal.predict_all(several, text), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_without_a_picture_it_is_asked_without_one(editing: EditingTeacher) -> None:
    latents, t, text = noise(4, 1, 4, 8, 8), torch.tensor([301]), editing.encode_prompt("a rosa")
    with torch.no_grad():
        blank = torch.cat([latents, torch.zeros_like(latents)], dim=1)
        expected = editing.parts.unet(blank, t, encoder_hidden_states=text.cond).sample
    assert torch.allclose(editing.predict(latents, t, text).eps_cond, expected, atol=1e-5)


@pytest.mark.parametrize("score", ["likelihood", "classifier"])
def test_the_score_moves_the_weights_as_the_formula_says(
    pristine: PanoHead, editing: EditingTeacher, score: str
) -> None:
    """From the render to the weights: encode, noise, three questions, guidance, weight, mask, chain rule."""
    editor = {"teacher": "edit", "cfg_scale": SCALES[0], "mirror": False, "rank": "none"}
    settings = {**BARE, **editor, "score": score}
    stylizer = make(pristine, editing, **settings, grid=False)
    slow, names = Slow(stylizer), [*SOME, SUPER]
    label, colour = slow.draw.labels["single"][0, 0], slow.draw.backgrounds_01["single"][0]
    _, mask, untouched, _ = slow.render(stylizer.reference, label, colour)
    _, _, image, _ = slow.render(stylizer.generator, label, colour)
    latents = editing.encode(resize(image, 32))
    t = 981 - 20 * slow.draw.step_index["single"]
    alpha_bar = editing.schedule.alphas_cumprod[t].reshape(1, 1, 1, 1)
    eps = slow.draw.eps["single"]
    x_t = alpha_bar.sqrt() * latents.detach() + (1 - alpha_bar).sqrt() * eps
    picture = (resize(untouched.detach(), 32).clamp(-1, 1) + 1) / 2
    guided = slow_eps(editing, x_t, t, picture, stylizer.config.prompt)
    if score == "likelihood":
        gradient = (alpha_bar / (1 - alpha_bar)).sqrt() * (guided - eps)
    else:
        kept = slow_eps_without_words(editing, x_t, t, picture)
        gradient = alpha_bar.sqrt() * (guided - kept)
    parameters = trained(stylizer, names)
    expected = torch.autograd.grad(latents, parameters, gradient * resize(mask.detach(), 8))
    stylizer.choices.manual_seed(stylizer.config.seed)
    stylizer.step()
    assert_close([parameter.grad for parameter in parameters], expected)


def slow_eps_without_words(
    teacher: Teacher, x_t: torch.Tensor, t: torch.Tensor, picture_01: torch.Tensor
) -> torch.Tensor:
    """Guide by the picture alone: with the empty prompt the words' difference is nought."""
    return slow_eps(teacher, x_t, t, picture_01, "")


def test_an_editor_sees_four_heads_where_grids_are_asked_for(
    pristine: PanoHead, editing: EditingTeacher
) -> None:
    seen = []
    original = editing.predict_all

    class Spy:
        def __call__(self, noisy, text):
            seen.append([one.condition for one in noisy])
            return original(noisy, text)

    stylizer = make(pristine, editing, **BARE | {"teacher": "edit", "grid": True, "rank": "none"})
    scene = stylizer._render(stylizer._draw(), stylizer.noise)
    editing.predict_all = Spy()  # type: ignore[method-assign]
    try:
        stylizer.method.terms(scene, rng=stylizer.noise)
    finally:
        del editing.predict_all  # type: ignore[attr-defined]
    single, grid = seen[0]
    assert (single.kind, grid.kind) == (PICTURE, PICTURE)
    tiles = torch.nn.functional.interpolate(
        scene.reference_views["grid"].image_raw, (16, 16), mode="bilinear", align_corners=True
    )
    torch.testing.assert_close(grid.image_01, ((merge(tiles) + 1) / 2).clamp(0, 1))


# ------------------------------------------------------------------------------------------------- needs


def preset(root: Path) -> Preset:
    (root / "generator.safetensors").touch()
    return Preset(
        "mini", root / "generator.safetensors", root / "teacher", "none", "repair it",
        companions={"ip2p": root / "ip2p"}, vocabulary=("pixar",),
    )  # fmt: skip


def ld(**changes: object) -> StylizeConfig:
    return StylizeConfig.from_dict(
        {"prompt": "Pixar character", "method": "ld", "teacher": "edit", **changes}
    )


def test_it_needs_the_editor_and_no_controlnets(root: Path) -> None:
    needs = list_needs(ld(), preset(root))
    assert [(need.role, need.name) for need in needs.networks] == [("diffusion", "mini/ip2p")]
    assert not needs.problems
    paths = needs.teacher_paths()
    assert paths is not None
    assert paths.edits


def test_an_editor_that_sees_no_picture_is_refused(root: Path) -> None:
    needs = list_needs(ld(diffusion=str(root / "teacher")), preset(root))
    assert "is no model that edits pictures" in needs.problems[0].message
    with pytest.raises(JobError, match="is an editing model"):
        check_teacher(TeacherPaths(root / "ip2p"))


def test_its_runs_have_a_row_of_their_own() -> None:
    names = [variant.name for variant in method_class("ld").variants()]
    assert names == ["ld", "stylehead", "ld_edit"]
    config = ld(**EDITED)
    assert LikelihoodDistillation.variant_of(config) == "ld_edit"
    assert math.isclose(config.cfg_scale, 3.0)
