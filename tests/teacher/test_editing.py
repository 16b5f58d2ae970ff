"""Editors over tiny random networks, against slow references and with folders that hold no editor."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_teacher import write_tiny_editors, write_tiny_teacher
from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.baselines.embedded_pipeline import build_pipeline
from stylehead.teacher.editing import (
    EMBEDDED,
    PUBLISHED,
    Guidance,
    InstructPix2Pix,
    PipelineEditor,
    level_background,
    open_editor,
    open_preset_editor,
    why_no_preset_editor,
)
from stylehead.teacher.editing.editor import same_noise, without_tint
from stylehead.teacher.editing.instruct import load_scheduler
from stylehead.teacher.editing.pipeline import SETTINGS, check_takes_pictures, read_licence
from stylehead.weights.presets import Preset

EDITORS = Path(__file__).parents[2] / "stylehead/bank/README.md"
SIZE = 32
STEPS = 5


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_teacher(folder / "teacher", image_size=SIZE)
    write_tiny_editors(folder)
    return folder


def preset(root: Path, name: str = "mini") -> Preset:
    companions = {"ip2p": root / "ip2p"} if name == "mini" else {}
    return Preset(
        name, root / "generator.safetensors", root / "teacher", "none", "repair it", companions=companions
    )


@pytest.fixture(scope="module")
def editor(root: Path) -> InstructPix2Pix:
    return InstructPix2Pix.load(root / "teacher", unet=root / "ip2p" / "unet", steps=STEPS)


def views(seed: int = 1, count: int = 2, size: int = SIZE) -> Tensor:
    pictures = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
    pictures[..., : size // 4, :] = 1.0
    return pictures


def pipeline_of(root: Path) -> StableDiffusionInstructPix2PixPipeline:
    from diffusers import UNet2DConditionModel

    pipeline = build_pipeline(
        StableDiffusionInstructPix2PixPipeline,
        root / "teacher",
        "cpu",
        unet=(UNet2DConditionModel, root / "ip2p" / "unet"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def whole(root: Path) -> Path:
    """The same editor as a pipeline that diffusers wrote."""
    pipeline_of(root).save_pretrained(root / "published", safe_serialization=True)
    return root / "published"


def test_sampling_is_that_of_the_published_pipeline(root: Path, editor: InstructPix2Pix) -> None:
    """The reference is the pipeline of diffusers, started from the noised picture."""
    pipeline, pictures = pipeline_of(root), views()
    pipeline.scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        clean = pipeline.vae.encode(pictures * 2 - 1).latent_dist.mode() * pipeline.vae.config.scaling_factor
    noise = without_tint(same_noise(2, 4, SIZE // 4, seed=3))
    start = pipeline.scheduler.add_noise(clean, noise, pipeline.scheduler.timesteps[:1])
    wanted = pipeline(
        ["a"] * 2,
        image=pictures,
        num_inference_steps=STEPS,
        guidance_scale=PUBLISHED.text,
        image_guidance_scale=PUBLISHED.picture,
        latents=start,
        output_type="pt",
    ).images
    edited = editor.edit(pictures, "a", seed=3)
    torch.testing.assert_close(edited, level_background(wanted, pictures), atol=2e-4, rtol=0)


def test_noise_without_tint_is_the_same_noise_with_a_mean_of_zero() -> None:
    noise = same_noise(2, 4, 8, seed=5)
    found = without_tint(noise)
    torch.testing.assert_close(found.mean(dim=(2, 3)), torch.zeros(2, 4), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.diff(dim=3), noise.diff(dim=3))


def test_all_views_start_from_the_same_noise() -> None:
    start = same_noise(3, 4, 8, seed=5)
    assert start.shape == (3, 4, 8, 8)
    assert all(torch.equal(view, start[0]) for view in start)
    assert torch.equal(start, same_noise(3, 4, 8, seed=5))
    assert not torch.equal(start, same_noise(3, 4, 8, seed=6))


def test_edits_follow_instruction_picture_seed_and_what_to_avoid(editor: InstructPix2Pix) -> None:
    once = editor.edit(views(), "a", seed=1)
    assert once.shape == (2, 3, SIZE, SIZE)
    assert 0 <= once.min() < once.max() <= 1
    assert torch.equal(once, editor.edit(views(), "a", seed=1))
    assert not torch.equal(once, editor.edit(views(), "o", seed=1))
    assert not torch.equal(once, editor.edit(views(2), "a", seed=1))
    assert not torch.equal(once, editor.edit(views(), "a", seed=2))
    assert not torch.equal(once, editor.edit(views(), "a", seed=1, negative="s"))


def test_equal_views_get_equal_edits(editor: InstructPix2Pix) -> None:
    edited = editor.edit(views(1, 1).expand(6, -1, -1, -1), "a", seed=1)
    torch.testing.assert_close(edited, edited[:1].expand(6, -1, -1, -1), atol=1e-5, rtol=0)


def test_less_noise_stays_nearer_to_the_start(editor: InstructPix2Pix) -> None:
    pictures, current = views(), views(7)
    plain = InstructPix2Pix(**{**parts(editor), "guidance": Guidance(0.0, 0.0)})

    def distance(share: float) -> float:
        edited = plain.edit(pictures, "a", seed=1, current_01=current, noise_share=share)
        kept = plain.edit(pictures, "a", seed=1, current_01=current, noise_share=0.0)
        return float((edited - kept).abs().mean())

    assert distance(0.0) == 0
    assert distance(0.3) < distance(1.0)


def test_pictures_of_any_size_are_taken(editor: InstructPix2Pix) -> None:
    assert editor.edit(views(size=48), "a", seed=1).shape == (2, 3, SIZE, SIZE)


def test_guidance_nought_on_the_words_ignores_them(editor: InstructPix2Pix) -> None:
    deaf = InstructPix2Pix(**{**parts(editor), "guidance": Guidance(text=0.0, picture=1.0)})
    edits = [deaf.edit(views(), words, seed=1) for words in ("a", "s")]
    torch.testing.assert_close(*edits, atol=1e-4, rtol=0)


def parts(editor: InstructPix2Pix) -> dict:
    names = ("vae", "unet", "text_encoder", "tokenizer", "scheduler", "steps")
    return {name: getattr(editor, name) for name in names}


@given(shift=st.floats(-0.14, 0.14), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_constant_shift_of_colours_is_taken_back(shift: float, seed: int) -> None:
    pictures = 0.2 + 0.6 * views(seed)
    torch.testing.assert_close(level_background(pictures + shift, pictures), pictures, atol=1e-5, rtol=0)


def test_a_background_that_was_changed_on_purpose_stays() -> None:
    pictures = views()
    night = pictures.clone()
    night[..., : SIZE // 4, :] = 0.1
    torch.testing.assert_close(level_background(night, pictures), night)


def test_schedules_keep_what_the_file_says(tmp_path: Path) -> None:
    told = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, **told).save_pretrained(tmp_path)
    config = load_scheduler(tmp_path).config
    assert {name: config[name] for name in told} == told
    (tmp_path / "scheduler_config.json").write_text(
        json.dumps({"_class_name": "EulerAncestralDiscreteScheduler", "beta_start": 0.00085})
    )
    assert load_scheduler(tmp_path).config.clip_sample is False


def test_a_schedule_that_ends_in_noise_starts_from_noise(editor: InstructPix2Pix, tmp_path: Path) -> None:
    DDIMScheduler(rescale_betas_zero_snr=True, timestep_spacing="trailing").save_pretrained(tmp_path)
    blind = InstructPix2Pix(**{**parts(editor), "scheduler": load_scheduler(tmp_path)})
    one, other = (blind.edit(views(), "a", seed=1, current_01=views(n)) for n in (3, 4))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


# --------------------------------------------------------------------------------------------- folders


def test_a_pipeline_that_diffusers_wrote_edits_as_before(whole: Path, root: Path) -> None:
    read, own = open_editor(whole), InstructPix2Pix.load(root / "teacher", unet=root / "ip2p" / "unet")
    assert read.name == "InstructPix2Pix"
    torch.testing.assert_close(read.edit(views(), "a", seed=1), own.edit(views(), "a", seed=1))


def test_guidance_has_defaults_by_preset(root: Path) -> None:
    own = open_preset_editor(preset(root))
    assert isinstance(own, InstructPix2Pix)
    assert (own.text_scale, own.picture_scale) == (EMBEDDED.text, EMBEDDED.picture)
    assert own.licence == "none"
    told = open_preset_editor(preset(root), guidance=Guidance(text=5.0))
    assert isinstance(told, InstructPix2Pix)
    assert (told.text_scale, told.picture_scale) == (5.0, EMBEDDED.picture)


def test_what_a_preset_lacks_is_said(tmp_path: Path) -> None:
    for name, hint in (("mini", "repair"), ("panohead", "fetch")):
        why = why_no_preset_editor(preset(tmp_path, name))
        assert why is not None
        assert hint in str(why.hint)
        with pytest.raises(MissingError):
            open_preset_editor(preset(tmp_path, name))


class Brighter:
    """Stands for an editing pipeline of diffusers; says how it was called."""

    def __init__(self) -> None:
        self.calls: list[dict] = []

    def __call__(self, image, prompt, true_cfg_scale=1.0, negative_prompt=None, generator=None):  # type: ignore[no-untyped-def]
        self.calls.append(
            {"size": image.size, "prompt": prompt, "scale": true_cfg_scale, "not": negative_prompt}
        )
        self.calls[-1]["seed"] = generator.initial_seed()
        brighter = Image.fromarray((np.asarray(image) / 2 + 127).astype(np.uint8))
        return type("Result", (), {"images": [brighter.resize((40, 40))]})()


def test_a_pipeline_is_called_once_a_view_with_one_seed() -> None:
    pipeline = Brighter()
    editor = PipelineEditor(pipeline, guidance=Guidance(text=4.0, picture=2.0), size=64)
    edited = editor.edit(views(count=3), "make it bright", seed=9, negative="dark")
    assert edited.shape == (3, 3, 40, 40)
    call = {"size": (64, 64), "prompt": "make it bright", "scale": 4.0, "not": "dark", "seed": 9}
    assert pipeline.calls == [call] * 3
    assert (edited.mean() > views(count=3).mean()).item()


def test_another_editing_pipeline_is_opened_by_its_index(whole: Path, tmp_path: Path) -> None:
    """The class in the index decides; the one of diffusers itself stands for a foreign editor."""
    editor = PipelineEditor.load(whole, guidance=Guidance(text=2.0, picture=1.0))
    assert editor.name == "StableDiffusionInstructPix2PixPipeline"
    assert editor.settings == {"guidance_scale": 2.0, "image_guidance_scale": 1.0}
    editor._pipeline.scheduler = DDIMScheduler(num_train_timesteps=4)
    editor.settings["num_inference_steps"] = 2
    editor._size = SIZE
    assert editor.edit(views(count=1), "a", seed=1).shape == (1, 3, SIZE, SIZE)


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (None, MissingError, "no editor"),
        ("{", JobError, "damaged"),
        ("[]", JobError, "damaged"),
        ('{"_class_name": "NoSuchPipeline"}', JobError, "lacks"),
        ('{"_class_name": ["custom", "Mine"]}', JobError, "lacks"),
        ('{"_class_name": "os"}', JobError, "lacks"),
        ('{"_class_name": "DDIMScheduler", "unet": ["mine", "Net"]}', JobError, "code of its own"),
    ],
)
def test_folders_that_hold_no_editor(
    tmp_path: Path, index: str | None, error: type[Exception], words: str
) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "mine.py").write_text("raise SystemExit('was run')")
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(error, match=words):
        open_editor(tmp_path)


def test_a_pipeline_that_edits_nothing_is_refused() -> None:
    class Painter:
        def __call__(self, prompt: str) -> None: ...

    with pytest.raises(JobError, match="does not edit"):
        PipelineEditor(Painter())


def test_the_licence_is_read_from_the_card(tmp_path: Path) -> None:
    assert "unknown" in read_licence(tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Model\n")
    assert read_licence(tmp_path) == "apache-2.0"


def test_missing_and_damaged_networks_are_named(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "model_index.json").write_text((whole / "model_index.json").read_text())
    with pytest.raises(MissingError, match="vae"):
        open_editor(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_families_of_the_readme_take_what_they_are_called_with(name: str) -> None:
    """Of the diffusers that is installed; their weights are not here."""
    import diffusers

    takes = check_takes_pictures(getattr(diffusers, name))
    assert {*SETTINGS[name], "generator"} <= takes
    assert name.removesuffix("PlusPipeline").removesuffix("Pipeline") in EDITORS.read_text()
