"""The one table of figures: what its rows are measured on, and that they measure it."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.mini.captions import PROMPTED_STYLES
from stylehead.perception.judges import StyleJudge
from stylehead.world.recipes import editor_figures
from stylehead.world.recipes.editor_figures import (
    Edited,
    Pairs,
    colour_shift,
    edited,
    long_prompts,
    true_pairs,
)
from stylehead.world.recipes.held_out_table import (
    Figure,
    HeldOut,
    Sheets,
    autoencoder_rows,
    editor_rows,
    generator_rows,
    printed,
)


@pytest.fixture
def held_out(made_views):
    styles, seeds = zip(*((style, seed) for seed in range(3) for style in PROMPTED_STYLES), strict=True)
    return HeldOut(made_views(["photo"] * 3, [0, 1, 2], views=12), made_views(styles, list(seeds)))


class Truthful:
    """Gives back what it is given, a shade darker."""

    name, licence = "truthful", ""

    def __init__(self, shade=0.0):
        self.shade, self.asked = shade, []

    def edit(self, pictures_01, instruction, *, seed, negative=""):
        self.asked.append((instruction, seed, len(pictures_01)))
        return pictures_01 - self.shade


def test_pairs_show_one_person_from_one_camera_of_the_front_half(held_out):
    pairs = true_pairs(held_out.photo, held_out.styled, "joker", count=5)
    assert pairs.photos.shape == pairs.truth.shape == (5, 3, 32, 32)
    disc = (pairs.photos < 1).any(dim=1)
    assert torch.equal(disc, (pairs.truth < 1).any(dim=1))


def test_edits_are_compared_with_the_truth(held_out):
    pairs = true_pairs(held_out.photo, held_out.styled, "joker", count=5)
    same = editor_figures.Pairs(pairs.truth, pairs.truth)
    editor = Truthful(shade=0.1)
    found = edited(editor, same, "as a joker")
    assert [views for _, _, views in editor.asked] == [4, 1]
    assert len({seed for _, seed, _ in editor.asked}) == 2
    assert 19 < found.psnr < 21  # -20 log10 of 0.1, less where there was black
    assert found.colour_shift == pytest.approx(0.1, abs=0.01)


def test_psnr_and_colour_shift_of_known_pictures():
    black, white = torch.full((2, 3, 8, 8), -1.0), torch.full((2, 3, 8, 8), 1.0)
    assert Edited(black, Pairs(black, white)).psnr == pytest.approx(0)
    torch.testing.assert_close(colour_shift(black, white), torch.ones(2))
    assert Edited(white * 0.8, Pairs(black, white)).psnr == pytest.approx(20)
    assert Edited(white * 1.8, Pairs(black, white * 0.8)).psnr == pytest.approx(20), "clamped"
    assert torch.equal(colour_shift(white, white), torch.zeros(2))


def test_long_prompts_have_sixty_words_around_the_style_at_any_place():
    prompts = [prompt.split() for prompt in long_prompts("zombie", 60)]
    assert all(len(words) == 61 for words in prompts)
    places = {words.index("zombie") for words in prompts}
    assert min(places) < 10
    assert max(places) > 50


def test_rows_of_autoencoder_and_editor(held_out, editor_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("stylehead.world.recipes.held_out_table.embedded_editor", lambda weights: Truthful())
    StyleJudge().save(tmp_path / "style_judge.safetensors", {})
    sheets = Sheets(tmp_path / "sheets")
    rows = autoencoder_rows(tmp_path, held_out, sheets, pictures=7)
    rows += editor_rows(tmp_path, held_out, sheets, pictures=4)
    values = {row.name: row.value for row in rows}
    assert values["autoencoder, photographs"].endswith(" dB")
    mean = float(values["editor, mean of the styles"].removesuffix(" dB"))
    expected = [
        Edited(pairs.photos, pairs).psnr
        for style in PROMPTED_STYLES
        for pairs in [true_pairs(held_out.photo, held_out.styled, style, count=4)]
    ]
    assert mean == pytest.approx(sum(expected) / len(expected), abs=0.01)
    assert {path.suffix for path in sheets.folder.iterdir()} == {".webp"}
    assert len(list(sheets.folder.iterdir())) == 2 + 2 * len(PROMPTED_STYLES)


def test_rows_of_known_pictures_have_known_decibels(held_out, tmp_path, monkeypatch):
    class Paler:
        """An autoencoder whose pictures are brighter by a tenth."""

        def encode(self, images):
            return SimpleNamespace(latent_dist=SimpleNamespace(mean=images))

        def decode(self, latents):
            return SimpleNamespace(sample=latents.clamp(max=0.8) + 0.2)

    monkeypatch.setattr("stylehead.world.recipes.held_out_table.trained", lambda kind, folder: Paler())
    black = dataclasses.replace(held_out.photo, images=torch.zeros_like(held_out.photo.images))
    rows = autoencoder_rows(tmp_path, HeldOut(black, held_out.styled), Sheets(None), pictures=7)
    assert rows[0].value == "20.00 dB"
    blank = dataclasses.replace(black, images=torch.full_like(black.images, 255))

    class Grey(PanoHead):
        def synthesis(self, ws, label, **_):
            size = blank.images.shape[-1]
            return SimpleNamespace(
                image=torch.zeros(len(label), 3, size, size), mask=torch.ones(len(label), 1, size, size)
            )

    monkeypatch.setattr(PanoHead, "load", lambda path: Grey(GeneratorConfig.mini()))
    people = HeldOut(blank, held_out.styled)
    assert generator_rows(tmp_path, people, Sheets(None), people=2)[0].value == "6.02 dB"


def test_the_table_is_markdown():
    assert printed([Figure("a", "1 dB")]).splitlines() == [
        "| figure | measured |",
        "|---|---|",
        "| a | 1 dB |",
    ]
