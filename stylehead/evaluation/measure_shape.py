"""Taking the metrics of shape and truth from a row: is the head still that head, and what it should be?"""

import torch

from stylehead.errors import MissingError
from stylehead.evaluation.case import Case
from stylehead.evaluation.metrics.depth_difference import depth_difference
from stylehead.evaluation.metrics.mv_reproj import View, reprojection_error
from stylehead.evaluation.numbers import Number, Seen, mean_over_people, shared
from stylehead.evaluation.portraits import Portraits
from stylehead.geometry import camera_from_angles
from stylehead.images import bytes_to_01, outline_iou, psnr, resize

NEIGHBOURS_DEG = 45.0
"""Views at most so far apart are carried into each other."""


def measure_dd_geo(case: Case) -> Number:
    """Change of the rendered depth where both heads are."""
    both = shared(case.stylised.portraits, case.untouched.portraits, "The untouched pictures")
    after, before = case.stylised.portraits, case.untouched.portraits
    if after.depths is None or before.depths is None or after.masks is None or before.masks is None:
        raise MissingError("These are pictures without geometry.")
    mask = torch.minimum(both.first(after.masks), both.second(before.masks))
    depths = (both.first(after.depths), both.second(before.depths), mask)
    values = depth_difference(*(part.flatten(0, 1) for part in depths)).unflatten(0, mask.shape[:2])
    return mean_over_people(values, Seen(both.seeds, both.yaws_deg))


def measure_dd_mono(case: Case) -> Number:
    """Change of the estimated depth inside the outline of the untouched head."""
    network = case.encoders.need("depth")
    both = shared(case.stylised.portraits, case.untouched.portraits, "The untouched pictures")
    masks = case.untouched.portraits.masks
    if masks is None:
        raise MissingError("The outline of the untouched heads is not known.")
    after, before = both.first(case.stylised.nearness), both.second(case.untouched.nearness)
    mask = resize(both.second(masks).flatten(0, 1), after.shape[-1], antialias=False)
    values = depth_difference(after.flatten(0, 1), before.flatten(0, 1), mask)
    return mean_over_people(
        values.unflatten(0, after.shape[:2]), Seen(both.seeds, both.yaws_deg, network.name)
    )


def measure_mv_reproj(case: Case) -> Number:
    """Disagreement of neighbouring views about the surface that they share."""
    portraits = case.stylised.portraits
    if portraits.depths is None or portraits.masks is None:
        raise MissingError("These are pictures without geometry.")
    pairs = [
        (here, there)
        for here, yaw in enumerate(portraits.yaws_deg)
        for there, other in enumerate(portraits.yaws_deg)
        if here != there and abs((yaw - other + 180) % 360 - 180) <= NEIGHBOURS_DEG
    ]
    if not pairs:
        raise MissingError(f"No two views are within {NEIGHBOURS_DEG:g} degrees of each other.", "--yaws")
    views = [_view(portraits, column) for column in range(len(portraits.yaws_deg))]
    errors = torch.stack([reprojection_error(views[here], views[there]) for here, there in pairs], dim=1)
    yaws = [yaw for column, yaw in enumerate(portraits.yaws_deg) if any(column in pair for pair in pairs)]
    note = f"{len(pairs)} ordered pairs of neighbouring views"
    return mean_over_people(errors.nanmean(dim=1), Seen(portraits.seeds, yaws, note=note))


def _view(portraits: Portraits, column: int) -> View:
    """One side of everybody, at the resolution of the depth."""
    assert portraits.depths is not None
    assert portraits.masks is not None
    depth = portraits.depths[:, column]
    image = resize(bytes_to_01(portraits.images[:, column]), depth.shape[-1])
    label = camera_from_angles(torch.deg2rad(torch.tensor(portraits.yaws_deg[column])))
    return View(image, depth, portraits.masks[:, column], label.expand(len(image), -1))


# ------------------------------------------------------------------------------------------------------ truth


def measure_gt_perceptual(case: Case) -> Number:
    """Perceptual distance to the true stylised pictures."""
    network, truth = case.encoders.need("perceptual"), case.target.need_truth()
    both = shared(case.stylised.portraits, truth.portraits, "The true pictures")
    values = []
    for here, there in zip(*both.columns, strict=True):
        vectors, true_vectors = case.stylised.perceptual(here), truth.perceptual(there)
        values.append((vectors[both.rows[0]] - true_vectors[both.rows[1]]).square().sum(dim=1))
    return mean_over_people(torch.stack(values, dim=1), Seen(both.seeds, both.yaws_deg, network.name))


def measure_gt_psnr(case: Case) -> Number:
    """PSNR in dB to the true stylised pictures."""
    truth = case.target.need_truth().portraits
    both = shared(case.stylised.portraits, truth, "The true pictures")
    ours = bytes_to_01(both.first(case.stylised.portraits.images)).flatten(0, 1)
    theirs = bytes_to_01(both.second(truth.images)).flatten(0, 1)
    values = psnr(resize(ours, theirs.shape[-1]), theirs).unflatten(0, (len(both.seeds), -1))
    return mean_over_people(values, Seen(both.seeds, both.yaws_deg))


def measure_gt_iou(case: Case) -> Number:
    """Overlap with the true outlines."""
    truth, portraits = case.target.need_truth().portraits, case.stylised.portraits
    both = shared(portraits, truth, "The true pictures")
    if portraits.masks is None or truth.masks is None:
        raise MissingError("The outline of these heads is not known.")
    ours, theirs = both.first(portraits.masks).flatten(0, 1), both.second(truth.masks).flatten(0, 1)
    values = outline_iou(ours, theirs).unflatten(0, (len(both.seeds), -1))
    return mean_over_people(values, Seen(both.seeds, both.yaws_deg))
