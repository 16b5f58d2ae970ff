"""Edit, then regress: which edits a step sees, what it compares, and what it trains."""

import copy
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import JobError, MissingError, UsageError
from stylehead.generator import PanoHead, load_style, save_style
from stylehead.geometry import camera_from_angles, conditioning_camera
from stylehead.images import to_pixels
from stylehead.methods import Stylizer, records
from stylehead.methods.config import StylizeConfig
from stylehead.methods.edit import Edit, EditSettings, learn_positions, view_weights
from stylehead.methods.edited_views import EditedViews
from stylehead.methods.losses import detail_loss

YAWS = (0.0, 0.6, math.pi)


@pytest.fixture(scope="module")
def edits(pristine: PanoHead) -> EditedViews:
    """Three people from three sides, every render turned dark; the second has no edit from behind."""
    z = torch.randn(3, pristine.config.z_dim, generator=torch.Generator().manual_seed(5))
    labels = torch.cat([camera_from_angles(yaw) for yaw in YAWS])
    with torch.no_grad():
        ws = pristine.mapping(z, conditioning_camera())
        out = pristine.synthesis(ws, labels.repeat(3, 1), background="white")
    pictures = torch.from_numpy(to_pixels(out.image)).permute(0, 3, 1, 2) // 3
    size = pictures.shape[-1]
    outlines = torch.nn.functional.interpolate(out.mask, size=size)[:, 0] > 0.5
    kept = torch.tensor([0, 1, 2, 3, 4, 6, 7, 8])
    return EditedViews(ws, labels.expand(3, -1, -1), pictures[kept], outlines[kept], kept)


def make(pristine: PanoHead, edits: EditedViews | None, **changes: object) -> Stylizer:
    base = {
        "prompt": "dark",
        "method": "edit",
        "iterations": 4,
        "batch": 3,
        "preview_every": 0,
        "perceptual_weight": 0.0,
    }
    config = StylizeConfig.from_dict({**base, "bank": "somewhere", **changes})
    stylizer = Stylizer(copy.deepcopy(pristine), pristine, config)
    assert isinstance(stylizer.method, Edit)
    stylizer.method.edits = edits
    return stylizer


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------ edits


def numbered(counts: list[list[int]]) -> EditedViews:
    """Edits whose pictures are grey by their number; `counts` says how many each side has."""
    people, views = len(counts), len(counts[0])
    sides = [side for side, count in enumerate(itertools.chain(*counts)) for _ in range(count)]
    total = len(sides)
    return EditedViews(
        ws=torch.arange(people, dtype=torch.float32)[:, None, None].expand(-1, 2, 4),
        cameras=torch.arange(people * views, dtype=torch.float32)
        .reshape(people, views, 1)
        .expand(-1, -1, 25),
        pictures=torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2),
        outlines=torch.ones(total, 2, 2, dtype=torch.bool),
        view_of=torch.tensor(sides),
    )


@given(
    counts=st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=4).filter(
        lambda counts: any(map(any, counts))
    ),
    people=st.integers(1, 5),
    views=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_pick_shows_edits_of_the_sides_that_it_names(
    counts: list[list[int]], people: int, views: int, seed: int
) -> None:
    edits = numbered(counts)
    picked = edits.pick(people, views, rng=rng(seed))
    assert picked.labels.shape == (people, views, 25)
    numbers = ((picked.pictures_pm1[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert torch.equal(edits.view_of[numbers], picked.labels[..., 0].flatten().long())
    rows = picked.ws[:, 0, 0].long()
    assert torch.equal(picked.labels[..., 0].long() // 3, rows[:, None].expand(-1, views))
    having = sum(map(any, counts))
    assert len(set(rows.tolist())) == min(people, having)
    for row, labels in zip(rows.tolist(), picked.labels[..., 0].long().tolist(), strict=True):
        assert len(set(labels)) == min(views, sum(count > 0 for count in counts[row]))


def test_every_edit_of_a_side_has_its_turn() -> None:
    edits = numbered([[3, 0, 1]])
    seen = [edits.pick(1, 1, rng=rng(seed)).pictures_pm1[0, 0, 0, 0] for seed in range(80)]
    numbers = {round((float(value) + 1) * 127.5) for value in seen}
    assert numbers == {0, 1, 2, 3}


def test_no_edits_are_refused() -> None:
    with pytest.raises(JobError, match="no edited pictures"):
        numbered([[0, 0]])


def test_without_edits_nothing_is_trained(pristine: PanoHead) -> None:
    with pytest.raises(UsageError, match="given no edited pictures"):
        make(pristine, None).step()


# -------------------------------------------------------------------------------------------------- terms


def test_a_generator_that_draws_the_edits_has_nothing_to_learn(
    pristine: PanoHead, edits: EditedViews
) -> None:
    """Edits that equal the renders: what is left is rounding to bytes and the outline's softness."""
    labels = edits.cameras.flatten(0, 1)
    with torch.no_grad():
        out = pristine.synthesis(edits.ws, labels, background="white")
    same = torch.from_numpy(to_pixels(out.image)).permute(0, 3, 1, 2)
    kept = EditedViews(
        edits.ws, edits.cameras, same, torch.ones(9, *same.shape[-2:], dtype=torch.bool), torch.arange(9)
    )
    settings = {"raw_weight": 0.0, "outline_weight": 0.0, "ray_jitter": False}
    still, moved = (make(pristine, which, **settings).step().losses for which in (kept, edits))
    clipped = float((out.image.abs() - 1).clamp_min(0).max())
    assert still["picture"] < 0.1 * moved["picture"] + clipped


def test_training_draws_nearer_to_the_edits(pristine: PanoHead, edits: EditedViews) -> None:
    stylizer = make(pristine, edits, iterations=12, learning_rate=0.01, ray_jitter=False)
    losses = [record.losses["picture"] for record in stylizer]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


@pytest.mark.parametrize("term", ["raw", "outline", "depth"])
def test_terms_have_weights_and_none_at_nought(pristine: PanoHead, edits: EditedViews, term: str) -> None:
    once, twice, never = (
        make(pristine, edits, **{f"{term}_weight": weight}).step().losses for weight in (0.5, 1.0, 0.0)
    )
    assert twice[term] == pytest.approx(2 * once[term], rel=1e-5)
    assert term not in never


def test_the_critic_watches_first_and_counts_later(pristine: PanoHead, edits: EditedViews) -> None:
    stylizer = make(pristine, edits, critic_weight=0.01, matching_weight=0.5, critic_from=0.5)
    counted = ["matching" in record.losses and "critic" in record.losses for record in stylizer]
    assert counted == [False, False, True, True]


def test_depth_of_an_unmoved_head_costs_nothing(pristine: PanoHead, edits: EditedViews) -> None:
    assert make(pristine, edits, depth_weight=1.0, ray_jitter=False).step().losses["depth"] < 1e-6


def test_identity_and_perception_need_their_networks(pristine: PanoHead) -> None:
    for setting in ("identity_weight", "perceptual_weight"):
        with pytest.raises(MissingError):
            make(pristine, None, **{setting: 1.0})
    assert Edit.needed(EditSettings(prompt="x")).editor
    assert not Edit.needed(EditSettings(prompt="x", bank="folder")).editor


def test_views_weigh_by_where_they_stand() -> None:
    labels = torch.cat([camera_from_angles(math.radians(yaw)) for yaw in (0, 90, 180)])
    weights = view_weights(labels, side=0.7, back=0.4)
    torch.testing.assert_close(weights / weights[0], torch.tensor([1.0, 0.7, 0.4]))
    assert weights.mean() == pytest.approx(1.0)
    torch.testing.assert_close(view_weights(labels, side=1.0, back=1.0), torch.ones(3))


@given(seed=st.integers(0, 20), factor=st.floats(0.1, 4), shift=st.floats(-1, 1))
@settings(max_examples=20, deadline=None)
def test_details_ignore_shades_and_grow_with_the_error(seed: int, factor: float, shift: float) -> None:
    error = torch.randn(1, 3, 16, 16, generator=rng(seed))
    once = detail_loss(error)
    torch.testing.assert_close(detail_loss(error * factor), once * factor, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(detail_loss(error + shift), once, rtol=1e-3, atol=1e-5)
    assert detail_loss(torch.full((1, 3, 16, 16), shift)) < 1e-6


# ------------------------------------------------------------------------------------ what it trains, runs


def test_constant_noise_becomes_a_map_without_changing_a_picture(pristine: PanoHead) -> None:
    generator = copy.deepcopy(pristine)
    label = conditioning_camera()
    ws = generator.mapping(torch.ones(1, generator.config.z_dim), label)
    before = generator.synthesis(ws, label).image
    learn_positions(generator.backbone.synthesis)
    assert torch.equal(generator.synthesis(ws, label).image, before)
    assert generator.state_dict().keys() == pristine.state_dict().keys()
    assert generator.fingerprint() == pristine.fingerprint()


def test_maps_biases_and_decoder_move_and_mappings_stay(pristine: PanoHead, edits: EditedViews) -> None:
    stylizer = make(pristine, edits)
    stylizer.run()
    after, before = stylizer.generator.state_dict(), pristine.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.endswith("noise_const") for name in moved)
    assert any(name.startswith("decoder.") for name in moved)
    assert any(name.startswith("backbone.synthesis") and name.endswith(".bias") for name in moved)
    assert not any("mapping" in name for name in moved)
    only = make(pristine, edits, train_maps=False)
    assert not any(name.endswith(("noise_const", ".bias")) for name in only.trained)


@pytest.mark.parametrize("critic", [{}, {"critic_weight": 0.01, "matching_weight": 0.5, "critic_from": 0.4}])
def test_equal_runs_are_equal_and_a_resumed_one_too(
    pristine: PanoHead, edits: EditedViews, critic: dict[str, float]
) -> None:
    straight, again = make(pristine, edits, **critic), make(pristine, edits, **critic)
    straight.run()
    for _ in range(2):
        again.step()
    state = unpack_state(*pack_state(again.state_dict()))
    resumed = make(pristine, edits, **critic)
    resumed.load_state_dict(state)
    resumed.run()
    one, other = straight.generator.state_dict(), resumed.generator.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_random_colours_do_not_go_with_edits_on_a_plain_background() -> None:
    with pytest.raises(UsageError, match="white or bare"):
        EditSettings(prompt="x", background="random")


def test_another_seed_sees_other_edits(pristine: PanoHead, edits: EditedViews) -> None:
    one, other = (make(pristine, edits, seed=seed).step().losses for seed in (0, 1))
    assert one != other


def test_a_trained_map_travels_in_the_style_file(pristine: PanoHead, edits: EditedViews, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stylizer = make(pristine, edits, iterations=2)
    stylizer.run()
    save_style(tmp_path / "s.safetensors", stylizer.generator, pristine, {"prompt": "dark"})
    fresh = copy.deepcopy(pristine)
    load_style(tmp_path / "s.safetensors").apply(fresh)
    label: Tensor = edits.cameras[0, :1]
    drawn = [g.synthesis(edits.ws[:1], label, background="white").image for g in (fresh, stylizer.generator)]
    torch.testing.assert_close(*drawn)
    load_style(tmp_path / "s.safetensors").apply(fresh, 0.0)
    torch.testing.assert_close(
        fresh.synthesis(edits.ws[:1], label).image, pristine.synthesis(edits.ws[:1], label).image
    )


def test_training_ends_when_nothing_improves_at_the_same_step_however_often_it_is_stopped(
    pristine: PanoHead, edits: EditedViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SMOOTHED", 2)
    still = {"iterations": 60, "patience": 3, "learning_rate": 1e-12, "ray_jitter": False}
    straight = make(pristine, edits, **still)
    summary = straight.run()
    assert summary.ended_by == "no_improvement"
    assert straight.stalled
    assert summary.iterations < 60
    resumed = make(pristine, edits, **still)
    resumed.step()
    again = make(pristine, edits, **still)
    again.load_state_dict(unpack_state(*pack_state(resumed.state_dict())))
    assert again.run().iterations == summary.iterations
    assert make(pristine, edits, **still, critic_weight=0.1).method.patience == 0
    assert make(pristine, edits, **{**still, "patience": 0, "iterations": 8}).run().ended_by == "iterations"
