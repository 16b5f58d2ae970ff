"""Taking the metrics of people from a row: are they still who they were, and still different people?"""

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.case import Case
from stylehead.evaluation.intervals import pair_statistic
from stylehead.evaluation.metrics.diversity import identity_distances, squared_distances
from stylehead.evaluation.metrics.id_rank1 import rank1_hits
from stylehead.evaluation.metrics.identity import identity_similarity
from stylehead.evaluation.numbers import Number, Seen, mean_over_people, number, shared
from stylehead.evaluation.portraits import Overlap


def _faces(case: Case) -> tuple[Overlap, Tensor, Tensor, Tensor]:
    """Near-front views in common, both embeddings [N,F,D], and where both show a face [N,F]."""
    both = shared(case.stylised.near_front, case.untouched.near_front, "Near-front views")
    after, before = case.stylised.faces, case.untouched.faces
    found = both.first(after.found) & both.second(before.found)
    if not found.any():
        raise MissingError("No face was found in any pair of pictures.")
    return both, both.first(after.vectors), both.second(before.vectors), found


def _face_note(found: Tensor) -> str:
    missing = 1 - float(found.double().mean())
    return f"no face in {missing:.1%} of the pairs" if missing else ""


def measure_id(case: Case) -> Number:
    """Cosine of face embeddings, stylised and untouched, a mean over near-front views."""
    both, after, before, found = _faces(case)
    seen = Seen(both.seeds, both.yaws_deg, case.encoders.need("face").name, _face_note(found))
    return mean_over_people(identity_similarity(after, before, found), seen)


def measure_id_rank1(case: Case) -> Number:
    """Share of stylised faces that are nearest to their own untouched face, view by view."""
    both, after, before, found = _faces(case)
    hits = torch.stack([rank1_hits(after[:, view], before[:, view]) for view in range(after.shape[1])], dim=1)
    present = found.double()
    per_identity = (hits * present).sum(dim=1) / present.sum(dim=1)
    note = f"chance is {1 / len(both.seeds):.3f}"
    return mean_over_people(
        per_identity, Seen(both.seeds, both.yaws_deg, case.encoders.need("face").name, note)
    )


def measure_diversity_id(case: Case) -> Number:
    """Distance of the stylised faces of different people."""
    faces, views = case.stylised.faces, case.stylised.near_front
    usable = faces.found.all(dim=1)
    if int(usable.sum()) < 2:
        raise MissingError("Fewer than two people show a face in every near-front view.")
    seeds = [seed for seed, there in zip(views.seeds, usable.tolist(), strict=True) if there]
    distances = identity_distances(faces.vectors[usable])
    seen = Seen(seeds, views.yaws_deg, case.encoders.need("face").name)
    return number(pair_statistic(distances), seen)


def measure_diversity(case: Case) -> Number:
    """Perceptual distance of stylised pictures of different people, side by side."""
    portraits = case.stylised.portraits
    network = case.encoders.need("perceptual")
    columns = range(len(portraits.yaws_deg))
    distances = torch.stack([squared_distances(case.stylised.perceptual(column)) for column in columns])
    seen = Seen(portraits.seeds, portraits.yaws_deg, network.name)
    return number(pair_statistic(distances.mean(dim=0)), seen)
