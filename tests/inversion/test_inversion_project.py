"""Latents, pose search, projection, tuning and the quality report, on a small generator."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from inversion_helpers import FakeAnalyser, picture_of

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.generator import PanoHead, load_style, save_style
from stylehead.geometry import camera_from_angles
from stylehead.inversion import (
    Camera,
    FaceFinder,
    GridConfig,
    Guess,
    ImageSimilarity,
    InversionConfig,
    Inverter,
    LatentSpace,
    PivotalConfig,
    ProjectedHead,
    Projection,
    ProjectionStep,
    Start,
    TargetImage,
    assess,
    read_camera,
    save_latent,
    tune,
    with_face,
)
from stylehead.inversion.guess import features_fingerprint, mirror_features
from stylehead.inversion.inversion_config import noise_scale, ramp
from stylehead.inversion.latents import mapped_samples
from stylehead.inversion.likeness import LikenessJudge
from stylehead.inversion.pose import label_of_pose, pose, rotation_between_deg
from stylehead.inversion.project import Initialisation
from stylehead.inversion.search import PoseGrid
from stylehead.inversion.similarity import pixel_distance

FEW = InversionConfig(steps=10, starts=2, coarse_steps=3)
SMALL_GRID = GridConfig(heads=3, resolution=8, yaw_step_deg=40, yaw_limit_deg=40, pitch_step_deg=25)


@pytest.fixture
def inverter(tiny: PanoHead, similarity: ImageSimilarity) -> Inverter:
    return Inverter(tiny, similarity, config=FEW, grid=SMALL_GRID)


@pytest.fixture(scope="module")
def target(tiny: PanoHead, space: LatentSpace) -> TargetImage:
    coords = torch.randn(1, len(space.scales), generator=torch.Generator().manual_seed(7)) * 0.7
    return picture_of(tiny, space.ws(coords), camera_from_angles(0.3, -0.1))


# -------------------------------------------------------------------------------------------------- latents


def test_coordinates_are_whitened_and_invertible(tiny: PanoHead, space: LatentSpace) -> None:

    w = mapped_samples(tiny, 400, seed=0)
    coords = space.coords(w)
    assert torch.allclose(coords.mean(dim=0), torch.zeros(coords.shape[1]), atol=1e-3)
    floored = space.scales <= space.scales[0] * 0.0201
    assert torch.allclose(coords.std(dim=0)[~floored], torch.ones(int((~floored).sum())), atol=0.02)
    assert torch.allclose(space.ws(coords[:3])[:, 4], w[:3], atol=1e-4)
    assert (space.scales.diff() <= 1e-6).all()


def test_offsets_move_single_layers(space: LatentSpace) -> None:
    coords = torch.zeros(1, len(space.scales))
    offsets = torch.zeros(1, space.num_ws, len(space.scales))
    offsets[0, 2, 0] = 1
    moved = (space.ws(coords, offsets) - space.ws(coords)).abs().sum(dim=2)[0]
    assert moved[2] > 0
    assert moved.sum() == moved[2]


def test_latent_files_come_back(tmp_path: Path, tiny: PanoHead) -> None:
    ws, label = torch.randn(1, tiny.num_ws, tiny.config.w_dim), camera_from_angles(0.2)
    save_latent(tmp_path / "a.npz", ws, label)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert np.array_equal(file["w"], ws.numpy())
        assert file["camera"].shape == (25,)
    found = read_camera(tmp_path / "a.npz")
    assert found is not None
    assert torch.equal(found, label)
    save_latent(tmp_path / "b.npz", ws, None)
    assert read_camera(tmp_path / "b.npz") is None


@pytest.mark.parametrize(
    "camera", [np.zeros(3, np.float32), np.zeros(25, np.int64), np.full(25, np.nan, np.float32)]
)
def test_cameras_that_are_none_are_refused(tmp_path: Path, camera: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", w=np.zeros((1, 2, 3), np.float32), camera=camera)
    with pytest.raises(JobError, match="no camera label"):
        read_camera(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"PK garbage")
    with pytest.raises(JobError, match="damaged"):
        read_camera(tmp_path / "b.npz")


# ------------------------------------------------------------------------------------------ the pose search


def test_the_grid_finds_the_pose_of_its_own_heads(mini: PanoHead, mini_space: LatentSpace) -> None:
    grid = PoseGrid(mini, mini_space, GridConfig(heads=6, resolution=12, yaw_step_deg=30, pitch_step_deg=20))
    coords = torch.zeros(1, len(mini_space.scales))
    for yaw, pitch in ((30.0, 20.0), (-60.0, 0.0), (0.0, -20.0)):
        truth = camera_from_angles(math.radians(yaw), math.radians(pitch))
        starts = grid.starts(picture_of(mini, mini_space.ws(coords), truth), 3)
        assert float(rotation_between_deg(label_of_pose(starts.poses[:1]), truth)) < 1
        assert starts.poses.shape == (3, 6)
        apart = rotation_between_deg(label_of_pose(starts.poses[:1]), label_of_pose(starts.poses[1:2]))
        assert float(apart) > 10


def test_the_grid_is_symmetric_and_tells_where_heads_are(mini: PanoHead, mini_space: LatentSpace) -> None:
    grid = PoseGrid(mini, mini_space, SMALL_GRID)
    assert sorted(grid.angles[:, 0].tolist()) == sorted((-grid.angles[:, 0]).tolist())
    share = grid.expected_mask()
    assert share.shape == (8, 8)
    assert float(share[3:5, 3:5].mean()) > float(share[0].mean())
    assert 0 <= float(share.min()) <= float(share.max()) <= 1.001


# ----------------------------------------------------------------------------------------------- projection


def test_a_projection_comes_nearer_and_is_repeatable(inverter: Inverter, target: TargetImage) -> None:
    initial = inverter.initialise(target)
    steps: list[ProjectionStep] = []
    found = inverter.project(target, initial, steps.append)
    again = inverter.project(target, initial)
    assert torch.equal(found.ws, again.ws)
    assert torch.equal(found.camera_label, again.camera_label)
    assert [step.number for step in steps] == list(range(1, 14))
    assert [step.stage for step in steps] == ["starts"] * 3 + ["raw"] * 4 + ["whole"] * 6
    assert {step.total for step in steps} == {13}
    whole = [step.terms for step in steps if step.stage == "whole"]
    assert set(whole[0]) == {"pixel", "mask", "perceptual", "identity", "latent", "layers", "pose"}
    start = label_of_pose(initial.start.poses[:1])
    first = picture_of(inverter.generator, inverter.space.ws(initial.start.coords[:1]), start)
    last = picture_of(inverter.generator, found.ws, found.camera_label)
    wanted = target.image
    assert float(pixel_distance(last.image, wanted)) < 0.8 * float(pixel_distance(first.image, wanted))


def test_a_fixed_camera_stays_as_it_is(inverter: Inverter, target: TargetImage) -> None:
    label = camera_from_angles(0.31, -0.12)
    initial = inverter.initialise(target, Camera(label, fixed=True))
    assert torch.equal(inverter.project(target, initial).camera_label, label)


def test_a_known_camera_is_refined_from_where_it_is(inverter: Inverter, target: TargetImage) -> None:
    label = camera_from_angles(0.31, -0.12)
    found = inverter.project(target, inverter.initialise(target, Camera(label, fixed=False)))
    moved = float(rotation_between_deg(found.camera_label, label))
    assert 0 <= moved < 6


def test_a_pose_that_got_worse_is_given_up(tiny: PanoHead, space: LatentSpace, target: TargetImage) -> None:
    truth = pose(torch.tensor([0.3]), torch.tensor([-0.1]))
    coords = torch.zeros(1, len(space.scales))
    wild = InversionConfig(steps=4, starts=1, coarse_steps=0, pose_rate=20.0, pose_share=1.0, pose_weight=0)
    initial = Initialisation(Start(truth, coords), torch.tensor([0.2]))
    found = Projection(tiny, space, ImageSimilarity(), target, wild).run(initial)
    assert torch.allclose(found.camera_label, label_of_pose(truth), atol=1e-6)


def test_gradients_find_a_pose_near_by(mini: PanoHead, mini_space: LatentSpace) -> None:
    coords = torch.zeros(1, len(mini_space.scales))
    truth = camera_from_angles(0.35, 0.1)
    wanted = picture_of(mini, mini_space.ws(coords), truth)
    start = pose(torch.tensor([0.2]), torch.tensor([0.0]))
    config = InversionConfig(
        steps=1, starts=1, coarse_steps=24, raw_share=1.0, pose_weight=0, noise=0, learning_rate=0.0
    )
    initial = Initialisation(Start(start, coords), torch.tensor([0.15]))
    found = Projection(mini, mini_space, ImageSimilarity(), wanted, config).run(initial)
    before = float(rotation_between_deg(label_of_pose(start), truth))
    assert float(rotation_between_deg(found.camera_label, truth)) < 0.35 * before


def test_what_is_not_finite_stops_the_projection(inverter: Inverter, target: TargetImage) -> None:
    broken = TargetImage(target.image * float("nan"), target.mask)
    with pytest.raises(JobError, match="does not converge"):
        inverter.project(broken, inverter.initialise(target))


def test_stopping_from_the_callback(inverter: Inverter, target: TargetImage) -> None:
    class Stop(Exception):
        pass

    def stop(step: ProjectionStep) -> None:
        if step.number == 2:
            raise Stop

    with pytest.raises(Stop):
        inverter.project(target, inverter.initialise(target), stop)


def test_settings_are_checked() -> None:
    for changes in ({"steps": 0}, {"starts": 0}, {"coarse_steps": -1}, {"raw_share": 1.5}, {"seed": -1}):
        with pytest.raises(UsageError, match=next(iter(changes))):
            InversionConfig(**changes)
    with pytest.raises(UsageError, match="steps"):
        PivotalConfig(steps=0)


def test_schedules() -> None:
    rates = [ramp(step / 100) for step in range(101)]
    assert rates[0] == 0
    assert rates[100] == 0
    assert rates[50] == 1
    assert ramp(0.025) == pytest.approx(0.5)
    assert ramp(0.875) == pytest.approx(0.5)
    assert noise_scale(0, 0.05) == pytest.approx(0.05)
    assert noise_scale(0.75, 0.05) == 0
    assert noise_scale(1.0, 0.05) == 0


# ----------------------------------------------------------------------------------------- guess and masks


def test_the_first_guess_is_a_linear_map_that_files_keep(
    tmp_path: Path, tiny: PanoHead, similarity: ImageSimilarity, target: TargetImage, inverter: Inverter
) -> None:
    size, w_dim = mirror_features(similarity.trunks, target.image).even.shape[1], tiny.config.w_dim
    rng = torch.Generator().manual_seed(0)
    guess = Guess(
        torch.randn(size, 2 + 3, generator=rng) / size,
        torch.tensor([0.0, -0.1, 0.0, 0.0, 0.0]),
        torch.randn(3, w_dim, generator=rng),
        inverter.space.mean,
        tiny.fingerprint(),
        features_fingerprint(similarity.trunks),
    )
    guess.save(tmp_path / "guess.safetensors", {"pictures": "1"})
    loaded = Guess.load(tmp_path / "guess.safetensors")
    for ours, theirs in zip(
        guess(similarity.trunks, target.image), loaded(similarity.trunks, target.image), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=2e-2)
    mirrored = guess(similarity.trunks, target.image.flip(-1))
    assert torch.allclose(
        mirrored.angles, guess(similarity.trunks, target.image).angles * torch.tensor([-1, 1])
    )
    led = Inverter(tiny, similarity, loaded, config=FEW, grid=SMALL_GRID)
    first = led.initialise(target).start
    angles, w = loaded(similarity.trunks, target.image)
    assert torch.allclose(first.poses[0, :2], angles[0])
    assert torch.allclose(first.coords[0], led.space.coords(w)[0], atol=1e-4)
    foreign = Inverter(
        tiny, similarity, dataclasses.replace(loaded, generator="other"), config=FEW, grid=SMALL_GRID
    )
    assert foreign.initialise(target).start.coords[0].abs().sum() == 0
    stale = Inverter(
        tiny, similarity, dataclasses.replace(loaded, features="other"), config=FEW, grid=SMALL_GRID
    )
    assert torch.equal(stale.initialise(target).start.poses, inverter.initialise(target).start.poses)


def test_files_that_hold_no_guess(tmp_path: Path, tiny: PanoHead) -> None:
    with pytest.raises(MissingError):
        Guess.load(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"garbage")
    with pytest.raises(JobError, match="damaged"):
        Guess.load(tmp_path / "bad.safetensors")
    tiny.save(tmp_path / "generator.safetensors")
    with pytest.raises(JobError, match="not a first guess"):
        Guess.load(tmp_path / "generator.safetensors")


def test_a_busy_picture_asks_where_heads_are(inverter: Inverter) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    prepared = inverter.prepare(noise, None)
    assert prepared.mask_source == "cut out"
    assert torch.isfinite(prepared.target.image).all()
    near = inverter.prepare(noise, None, Camera(camera_from_angles(0.6), fixed=True))
    assert near.target.mask.shape == (1, 1, 64, 64)


# ------------------------------------------------------------------------------------- tuning and the report


def test_tuning_shows_the_picture_better_and_leaves_the_generator_alone(
    tmp_path: Path, tiny: PanoHead, space: LatentSpace, similarity: ImageSimilarity, target: TargetImage
) -> None:
    fingerprint = tiny.fingerprint()
    found = ProjectedHead(space.ws(torch.zeros(1, len(space.scales))), camera_from_angles(0.3, -0.1), 0.0)
    losses: list[float] = []
    tuned = tune(
        tiny, found, target, similarity=similarity, config=PivotalConfig(steps=12, learning_rate=2e-3),
        on_step=lambda _step, terms, _image: losses.append(terms["pixel"]),
    )  # fmt: skip
    assert tiny.fingerprint() == fingerprint
    assert len(losses) == 12
    before = picture_of(tiny, found.ws, found.camera_label)
    after = picture_of(tuned, found.ws, found.camera_label)
    assert float(pixel_distance(after.image, target.image)) < 0.9 * float(
        pixel_distance(before.image, target.image)
    )
    save_style(tmp_path / "personal.safetensors", tuned, tiny, {"stylehead.method": "pti"})
    style = load_style(tmp_path / "personal.safetensors")
    assert not any(name.startswith("backbone.mapping") for name in style.tensors)
    fresh = PanoHead(tiny.config).eval()
    fresh.load_state_dict(tiny.state_dict())
    style.apply(fresh)
    assert torch.equal(picture_of(fresh, found.ws, found.camera_label).image, after.image)


def test_tuning_that_does_not_converge(
    tiny: PanoHead, space: LatentSpace, similarity: ImageSimilarity, target: TargetImage
) -> None:
    found = ProjectedHead(space.ws(torch.zeros(1, len(space.scales))), camera_from_angles(0.0), 0.0)
    broken = TargetImage(target.image * float("nan"), target.mask)
    with pytest.raises(JobError, match="does not converge"):
        tune(tiny, found, broken, similarity=similarity, config=PivotalConfig(steps=2))


def test_the_report_of_a_perfect_likeness_has_no_warning(
    tiny: PanoHead, space: LatentSpace, similarity: ImageSimilarity
) -> None:
    coords = torch.randn(1, len(space.scales), generator=torch.Generator().manual_seed(5)) * 0.5
    label = camera_from_angles(math.radians(25), math.radians(-8))
    found = ProjectedHead(space.ws(coords), label, 0.0)
    own = picture_of(tiny, found.ws, label)
    assert similarity.identity is not None
    judge = LikenessJudge(similarity.identity, "identity.safetensors", threshold=0.4)
    quality, image = assess(tiny, found, own, similarity=similarity, coords=coords, judge=judge)
    assert quality.warnings == ()
    assert quality.likeness is True
    assert quality.threshold == 0.4
    assert quality.identity is not None
    assert 0.5 < quality.identity < 1  # seen from beside
    assert quality.face is None
    assert quality.perceptual == pytest.approx(0, abs=1e-6)
    assert quality.psnr_db > 60
    assert quality.outline > 0.99
    assert quality.yaw_deg == pytest.approx(25, abs=0.01)
    assert quality.pitch_deg == pytest.approx(-8, abs=0.01)
    assert quality.latent == pytest.approx(float(coords.square().mean().sqrt()))
    assert torch.equal(image, own.image)


def test_the_report_of_somebody_else_warns(tiny: PanoHead, space: LatentSpace) -> None:
    found = ProjectedHead(space.ws(torch.zeros(1, len(space.scales))), camera_from_angles(0.0), 0.0)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:] = 1
    other = TargetImage.make(torch.full((1, 3, 64, 64), -1.0), mask)
    coords = torch.zeros(1, len(space.scales))
    quality, _ = assess(tiny, found, other, similarity=ImageSimilarity(), coords=coords)
    assert quality.identity is None
    assert quality.perceptual is None
    assert any("outlines" in warning for warning in quality.warnings)
    assert any("dB" in warning for warning in quality.warnings)


def test_what_the_face_models_say(tiny: PanoHead, space: LatentSpace, similarity: ImageSimilarity) -> None:
    label = camera_from_angles(0.0)
    coords = torch.zeros(1, len(space.scales))
    found = ProjectedHead(space.ws(coords), label, 0.0)
    quality, _ = assess(tiny, found, picture_of(tiny, found.ws, label), similarity=similarity, coords=coords)
    mine, render = np.array([1.0, 0.0]), np.zeros((64, 64, 3), np.uint8)
    analyser = FakeAnalyser((label, 150.0, (380.0, 380.0)))
    analyser.embedding = np.array([0.8, 0.6])
    alike = with_face(quality, FaceFinder(analyser), mine, render)
    assert alike.face == pytest.approx(0.8)
    assert alike.warnings == quality.warnings
    assert analyser.seen[0].shape == (768, 768, 3)
    assert (analyser.seen[0][0] == 255).all()
    analyser.embedding = np.array([0.1, 0.99])
    other = with_face(quality, FaceFinder(analyser), mine, render)
    assert "not a likeness of the picture's (similarity 0.10" in other.warnings[0]
    assert (alike.likeness, other.likeness) == (True, False)
    nobody = with_face(quality, FaceFinder(FakeAnalyser()), mine, render)
    assert nobody.face is None
    assert nobody.likeness is False
    assert "no face can be made out" in nobody.warnings[-1]


# ---------------------------------------------------------------------------- the embedded world, slow


@pytest.mark.slow
def test_a_render_of_the_embedded_world_is_recovered() -> None:
    from stylehead.weights.presets import MINI_WEIGHTS

    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors")
    inverter = Inverter(generator, ImageSimilarity.load(MINI_WEIGHTS))
    coords = torch.randn(1, len(inverter.space.scales), generator=torch.Generator().manual_seed(2)) * 0.6
    truth = camera_from_angles(math.radians(-35), math.radians(8))
    own = picture_of(generator, inverter.space.ws(coords), truth)
    pixels = ((own.image[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    prepared = inverter.prepare(pixels, None)
    found = inverter.project(prepared.target, inverter.initialise(prepared.target))
    assert float(rotation_between_deg(found.camera_label, truth)) < 4
    quality, _ = assess(
        generator, found, own, similarity=inverter.similarity, coords=inverter.space.coords(found.ws)
    )
    assert quality.psnr_db > 26
    side = camera_from_angles(math.radians(55), math.radians(8))
    theirs = picture_of(generator, inverter.space.ws(coords), side).image
    ours = picture_of(generator, found.ws, side).image
    assert -10 * math.log10(float((ours - theirs).square().mean()) / 4) > 21


def test_a_photograph_starts_from_a_person_and_is_held_near_them(
    tiny: PanoHead, similarity: ImageSimilarity, target: TargetImage
) -> None:
    camera = Camera(camera_from_angles(0.0), fixed=True)
    first = {}
    for people in (0, 6):
        inverter = Inverter(tiny, similarity, config=dataclasses.replace(FEW, people=people), grid=SMALL_GRID)
        person = 0.5 + torch.zeros(1, len(inverter.space.scales)) if people else None
        initial, steps = inverter.initialise(target, camera, person), list[ProjectionStep]()
        inverter.project(target, initial, steps.append)
        first[people] = steps[0].terms["latent"], steps[-1].terms["latent"]
        if people:
            assert torch.equal(initial.start.coords, person)
    assert first[6][0] == 0 < first[6][1]
    assert first[0][0] > 0


def test_nobody_is_read_from_a_picture_where_nothing_reads_or_the_camera_is_open(
    tiny: PanoHead, similarity: ImageSimilarity
) -> None:
    inverter = Inverter(tiny, similarity, config=dataclasses.replace(FEW, people=3), grid=SMALL_GRID)
    picture = np.zeros((32, 32, 3), np.uint8)
    assert inverter.nearest(picture, Camera(camera_from_angles(0.0), fixed=True), None) is None
