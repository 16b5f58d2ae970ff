"""Rows of the table: every column measured, the same for every batch size, dashes with reasons."""

import dataclasses

import numpy as np
import pytest
import torch
from eval_helpers import (
    YAWS,
    RandomNetwork,
    frechet_distance,
    kernel_distance,
    random_case,
    random_encoders,
    random_portraits,
)

from stylehead.errors import MissingError, UsageError
from stylehead.evaluation import columns as columns_module
from stylehead.evaluation.columns import all_columns, find_column, measure_row
from stylehead.evaluation.comparison import DEPTH_SIZE, Comparison, EncodedPortraits, Reference, Target
from stylehead.evaluation.metrics.gain import share_of_gain
from stylehead.evaluation.numbers import NotMeasured, Number
from stylehead.images import resize
from stylehead.perception.roles import Encoders

COLUMNS = all_columns()
NAMES = [column.name for column in COLUMNS]


@pytest.fixture(scope="module")
def rows():
    """One row measured by stand-ins for the embedded encoders, and one by stand-ins for CLIP."""
    return {clip: measure_row(random_case(random_encoders(clip=clip)), COLUMNS) for clip in (False, True)}


def test_every_column_can_be_measured(rows) -> None:
    mini_only, clip_only = {"fd_mini", "kd_mini"}, {"cmmd"}
    assert {name for name, cell in rows[False].items() if isinstance(cell, NotMeasured)} == clip_only
    assert {name for name, cell in rows[True].items() if isinstance(cell, NotMeasured)} == mini_only


def test_every_number_says_how_it_was_measured(rows) -> None:
    for name, cell in rows[False].items():
        if isinstance(cell, Number):
            assert cell.low <= cell.high, name
            assert cell.identities == 5
            assert cell.pictures == cell.identities * len(cell.yaws_deg)
            assert set(cell.yaws_deg) <= set(YAWS)
    without = {"dd_geo", "mv_reproj", "gt_psnr", "gt_iou", "gain_psnr"}
    assert {
        name for name, cell in rows[False].items() if isinstance(cell, Number) and not cell.encoder
    } == without
    assert rows[False]["id"].yaws_deg == (-30.0, 0.0, 30.0)


def test_batch_size_changes_nothing(rows) -> None:
    for batch in (1, 7):
        again = measure_row(random_case(random_encoders(), batch=batch), COLUMNS)
        for name, cell in rows[False].items():
            if isinstance(cell, Number):
                assert again[name].value == pytest.approx(cell.value, rel=1e-5, abs=1e-6), name
                assert again[name].low == pytest.approx(cell.low, rel=1e-4, abs=1e-5), name


def test_distributions_are_over_the_pictures_that_both_have(rows) -> None:
    network = RandomNetwork()
    ours, theirs = (network.images(random_portraits(seed).images.flatten(0, 1)) for seed in (1, 3))
    assert rows[False]["fd_mini"].value == pytest.approx(frechet_distance(ours, theirs), rel=1e-6)
    assert rows[False]["kd_mini"].value == pytest.approx(kernel_distance(ours, theirs), rel=1e-6)
    raw = [network.features(random_portraits(seed).images.flatten(0, 1)) for seed in (1, 3)]
    assert rows[False]["fid"].value == pytest.approx(frechet_distance(*raw), rel=1e-6)


def test_numbers_per_person_have_the_table_s_value_as_their_mean(rows) -> None:
    for name in (
        "id",
        "id_rank1",
        "style",
        "clip_text",
        "dd_geo",
        "gt_psnr",
        "mv_reproj",
        "gain",
        "gain_psnr",
    ):
        cell = rows[False][name]
        assert np.nanmean(cell.per_identity) == pytest.approx(cell.value), name


def test_fid_names_its_sane_size() -> None:
    row = measure_row(random_case(random_encoders(), force=False), COLUMNS)
    assert "needs 2000" in row["fid"].why
    assert "--force-fid" in row["fid"].hint
    assert isinstance(row["fd_mini"], Number)  # 20 pictures, 12 features
    assert "upwards" in row["fd_mini"].note
    fewer = measure_row(random_case(random_encoders(), force=False, people=2), COLUMNS)
    assert "fd_mini over 8 pictures" in fewer["fd_mini"].why


def test_the_untouched_row_is_the_floor_and_the_ceiling() -> None:
    case = random_case(random_encoders())
    row = measure_row(Comparison(case.untouched, case.untouched, case.target), COLUMNS)
    assert row["id"].value == pytest.approx(1, abs=1e-6)
    assert row["id_rank1"].value == 1
    assert row["dd_geo"].value == row["dd_mono"].value == 0


def test_gains_are_shares_of_the_oracle_s() -> None:
    case = random_case(random_encoders())
    oracle = case.target.need_oracle()
    for name in ("gain", "gain_psnr"):
        column = find_column(name)
        assert column.measure(dataclasses.replace(case, stylised=oracle)).value == pytest.approx(1)
        assert column.measure(dataclasses.replace(case, stylised=case.untouched)).value == pytest.approx(0)
    half = share_of_gain(torch.tensor([[4.0, 6.0]]), torch.tensor([[3.0, 5.0]]), torch.tensor([[2.0, 4.0]]))
    assert half.mean() == pytest.approx(0.5)


def test_an_oracle_that_gains_nothing_measures_nothing() -> None:
    case = random_case(random_encoders())
    lost = dataclasses.replace(case.target, oracle=case.untouched)
    row = measure_row(dataclasses.replace(case, target=lost), COLUMNS)
    assert (
        row["gain"].why
        == row["gain_psnr"].why
        == "The oracle is no nearer to the truth than the untouched heads."
    )
    none = dataclasses.replace(case.target, oracle=None)
    row = measure_row(dataclasses.replace(case, target=none), COLUMNS)
    assert row["gain"].why == "No run on true pictures is among these."


def test_judges_measure_what_the_others_do_by_networks_of_their_own() -> None:
    networks = random_encoders()
    blind = dataclasses.replace(networks, style_judge=None, identity_judge=None)
    row = measure_row(random_case(blind), COLUMNS)
    assert {name for name, cell in row.items() if isinstance(cell, NotMeasured)} == {
        "cmmd", "style_judged", "id_rank1_judged", "gain",
    }  # fmt: skip
    whole = measure_row(random_case(networks), COLUMNS)  # the stand-ins are one and the same
    assert whole["style_judged"].value == whole["style"].value
    assert whole["id_rank1_judged"].value == whole["id_rank1"].value


def test_a_collapse_shows() -> None:
    encoders = random_encoders()
    one = random_portraits(1, people=5)
    same = dataclasses.replace(one, images=one.images[:1].expand(5, -1, -1, -1, -1).contiguous())
    case = random_case(encoders)
    row = measure_row(Comparison(EncodedPortraits(same, encoders), case.untouched, case.target), COLUMNS)
    assert row["diversity"].value == pytest.approx(0, abs=1e-5)
    assert row["diversity_id"].value == pytest.approx(0, abs=1e-5)
    assert row["id_rank1"].value <= 0.3


def test_pictures_without_geometry_get_dashes() -> None:
    encoders = random_encoders()
    flat = dataclasses.replace(random_portraits(1), masks=None, depths=None)
    case = random_case(encoders)
    row = measure_row(
        Comparison(EncodedPortraits(flat, encoders), case.untouched, case.target, force=True), COLUMNS
    )
    dashes = {name: cell.why for name, cell in row.items() if isinstance(cell, NotMeasured)}
    assert set(dashes) == {"cmmd", "dd_geo", "mv_reproj", "gt_iou"}
    assert "without geometry" in dashes["dd_geo"]
    assert isinstance(row["dd_mono"], Number)  # the outline of the untouched head is enough


def test_no_encoder_no_truth_no_number_but_reasons() -> None:
    missing = MissingError("It is not here.", "fetch it")
    encoders = Encoders(why={role: missing for role in ("faces", "image_text", "features", "recogniser")})
    looks = EncodedPortraits(random_portraits(1), encoders)
    row = measure_row(Comparison(looks, looks, Target("a cat", "a cat")), COLUMNS)
    assert row["id"] == NotMeasured("It is not here.", "fetch it")
    assert row["style"] == NotMeasured("It is not here.", "fetch it")
    assert (
        "no reference" in row["clip_img"].why.lower()
        or row["clip_img"].why == "There are no reference pictures."
    )
    assert row["gt_psnr"].why == "The true stylised pictures are not known."
    assert {name for name, cell in row.items() if isinstance(cell, Number)} == {"dd_geo", "mv_reproj"}


def test_a_set_that_shows_others_has_no_pairs() -> None:
    encoders = random_encoders()
    case = random_case(encoders)
    others = Reference(
        EncodedPortraits(random_portraits(9, people=30, yaws=(0.0,)), encoders), False, "a folder"
    )
    target = dataclasses.replace(case.target, reference=others)
    row = measure_row(Comparison(case.stylised, case.untouched, target, force=True), COLUMNS)
    assert "same heads" in row["clip_img"].why
    assert row["kd_mini"].note == "against a folder"
    assert row["kd_mini"].pictures == 20


def test_faces_that_are_not_found_are_counted() -> None:
    encoders = random_encoders()
    portraits = random_portraits(1)
    portraits.images[0, :, 0, 0, 0] = 77  # nobody sees a face of the first person
    portraits.images[1, 0, 0, 0, 0] = 77  # nor of the second from one of three sides
    portraits.images[portraits.images[:, :, 0, 0, 0] != 77][:, 0, 0, 0].clamp_(max=76)
    blind = dataclasses.replace(encoders, faces=RandomNetwork(blind_to=77))
    untouched = random_portraits(2)
    untouched.images[:, :, 0, 0, 0] = 0
    case = Comparison(
        EncodedPortraits(portraits, blind), EncodedPortraits(untouched, blind), Target("a cat", "pixar")
    )
    row = measure_row(case, COLUMNS)
    assert np.isnan(row["id"].per_identity[0])
    assert np.isfinite(row["id"].per_identity[1:]).all()
    assert row["id"].note == "no face in 26.7% of the pairs"
    assert row["diversity_id"].identities == 3


def test_columns_have_one_name_and_a_direction() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert find_column("id").arrow == "↑"
    assert find_column("mv_reproj").arrow == "↓"
    with pytest.raises(UsageError, match="no column id_rank") as caught:
        find_column("id_rank")
    assert caught.value.hint == "did you mean id_rank1?"
    assert all(column.group in columns_module.GROUPS for column in COLUMNS)


def test_small_pictures_are_compared_at_the_size_of_the_truth() -> None:
    encoders = random_encoders()
    case = random_case(encoders)
    large = EncodedPortraits(random_portraits(3, size=32), encoders)
    target = dataclasses.replace(case.target, truth=large)
    row = measure_row(Comparison(case.stylised, case.untouched, target), COLUMNS)
    assert torch.isfinite(torch.tensor(row["gt_psnr"].value))


def test_estimated_depth_is_kept_small() -> None:
    looks = EncodedPortraits(random_portraits(1), random_encoders())
    assert looks.nearness.shape == (5, len(YAWS), 1, DEPTH_SIZE, DEPTH_SIZE)
    first = RandomNetwork().nearness(looks.portraits.images[0])
    torch.testing.assert_close(looks.nearness[0], resize(first, DEPTH_SIZE))
