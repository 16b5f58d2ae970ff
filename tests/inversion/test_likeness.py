"""What a likeness is: above what strangers reach; measured, stored, and said when it does not fit."""

import json
from pathlib import Path

import cv2
import pytest
import torch
from torch.nn import functional

from stylehead.errors import JobError
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles
from stylehead.inversion import InversionConfig
from stylehead.inversion.centerface import CenterFace
from stylehead.inversion.likeness import FILE, LikenessJudge, Threshold, beside, read_threshold
from stylehead.inversion.quality import Quality, without_face
from stylehead.perception.embedded import IdentityEncoder
from stylehead.perception.judges import IdentityJudge
from stylehead.world.recipes.measure_likeness import threshold_of

FOUND = Threshold(0.5, 0.9, 100, "identity.safetensors", "abc")


def test_the_threshold_is_what_one_stranger_in_a_hundred_reaches() -> None:
    rng = torch.Generator().manual_seed(0)
    fronts = functional.normalize(torch.randn(40, 8, generator=rng), dim=1)
    noise = 0.3 * torch.randn(40, 2, 8, generator=rng)
    sides = functional.normalize(fronts[:, None] + noise, dim=2)
    found = threshold_of(fronts, sides, "e", "g")
    pairs = [[float((fronts[i] @ sides[j].t()).mean()) for j in range(40)] for i in range(40)]
    strangers = sorted(pairs[i][j] for i in range(40) for j in range(40) if i != j)
    assert sum(value > found.threshold for value in strangers) / len(strangers) == pytest.approx(
        0.01, abs=2e-3
    )
    same = [pairs[i][i] > found.threshold for i in range(40)]
    assert found.same_above == pytest.approx(sum(same) / 40, abs=1e-4)
    assert found.same_above > 0.5
    assert (found.people, found.encoder, found.generator) == (40, "e", "g")


def test_a_threshold_is_kept(tmp_path: Path) -> None:
    assert read_threshold(tmp_path) is None
    FOUND.save(tmp_path)
    assert read_threshold(tmp_path) == FOUND


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "likeness-1"}', '{"format": "likeness-9"}'])
def test_a_damaged_threshold_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(JobError, match=r"likeness\.json is"):
        read_threshold(tmp_path)


def test_the_better_judge_is_taken_and_its_threshold_must_be_its_own(tmp_path: Path) -> None:
    assert LikenessJudge.load(tmp_path) is None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        IdentityEncoder().save(tmp_path / "identity.safetensors", {})
        FOUND.save(tmp_path)
        judge = LikenessJudge.load(tmp_path, "abc")
        assert judge is not None
        assert (judge.name, judge.threshold, judge.fits) == ("identity.safetensors", 0.5, True)
        stale = LikenessJudge.load(tmp_path, "another generator")
        assert stale is not None
        assert (stale.threshold, stale.fits) == (0.5, False)
        IdentityJudge().save(tmp_path / "identity_judge.safetensors", {})
    better = LikenessJudge.load(tmp_path, "abc")
    assert better is not None
    assert (better.name, better.fits) == ("identity_judge.safetensors", False)


def test_a_head_is_judged_from_both_sides(tiny: PanoHead) -> None:
    ws = tiny.mapping(torch.zeros(1, tiny.config.z_dim), camera_from_angles(0.0))
    views = beside(tiny, ws, camera_from_angles(0.4))
    for view, yaw in zip(views, (0.4 - 0.2618, 0.4 + 0.2618), strict=True):
        own = tiny.synthesis(ws, camera_from_angles(yaw), background="white").image.clamp(-1, 1)
        assert torch.allclose(view, own[0], atol=2e-3)


@pytest.mark.parametrize("camera_known", [True, False])
def test_photographs_are_held_near_to_somebody_or_the_mean_head(camera_known: bool) -> None:
    usual = InversionConfig()
    photograph = usual.for_photograph(camera_known=camera_known)
    assert (photograph.people > 0) == camera_known
    assert photograph.identity_weight == 0  # the encoder is the judge then
    assert photograph.latent_weight > usual.latent_weight
    assert photograph.layer_weight > usual.layer_weight
    assert photograph.steps == usual.steps


def test_the_embedded_threshold_is_one() -> None:
    from stylehead.weights.presets import MINI_WEIGHTS

    document = json.loads((MINI_WEIGHTS / FILE).read_text())
    found = read_threshold(MINI_WEIGHTS)
    assert found is not None
    assert 0 < found.threshold < 0.95
    assert found.people >= 100
    assert document["encoder"] in ("identity.safetensors", "identity_judge.safetensors")


def test_a_picture_without_a_face_has_no_likeness() -> None:
    data = pytest.importorskip("skimage.data")
    numbers = dict.fromkeys(
        ("identity", "psnr_db", "outline", "yaw_deg", "pitch_deg", "roll_deg", "latent"), 0.9
    )
    alike = Quality(**numbers, face=None, perceptual=None, warnings=(), likeness=True)
    finder = CenterFace.load()
    for thing in (data.coffee(), data.rocket(), data.chelsea()):
        small = cv2.resize(thing, (128, 128), interpolation=cv2.INTER_AREA)
        judged = without_face(alike, finder, small)
        assert (judged.likeness, judged.warnings) == (False, ("no face can be made out in the picture",))
        behind = alike._replace(yaw_deg=170.0)
        assert without_face(behind, finder, small) == behind
    portrait = cv2.resize(data.astronaut()[20:276, 90:346], (128, 128), interpolation=cv2.INTER_AREA)
    assert without_face(alike, finder, portrait) == alike
