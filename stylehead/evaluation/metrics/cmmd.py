"""CLIP maximum mean discrepancy (arXiv 2401.09603), with the unbiased estimator.

1000 times the squared discrepancy of unit CLIP features under a Gaussian kernel of width 10. The public port
uses the biased estimator, which gives 0.28 for 69 pictures of one and the same distribution; this one, 0.
"""

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.distributions import discrepancy_number, feature_sets
from stylehead.evaluation.mmd import Kernels
from stylehead.evaluation.numbers import Number

PUBLISHED = "CLIP ViT-L/14-336"
"""The encoder of published numbers."""

SIGMA = 10.0
SCALE = 1000.0


def gaussian_kernels(features: Tensor, reference: Tensor) -> Kernels:
    """The kernel `exp(-|x - y|^2 / (2 sigma^2))` within and between two sets of features."""

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        squared = torch.cdist(one.double(), other.double(), compute_mode="donot_use_mm_for_euclid_dist")
        return torch.exp(-squared.square() / (2 * SIGMA**2))

    return Kernels(kernel(features, features), kernel(reference, reference), kernel(features, reference))


def measure_cmmd(comparison: Comparison) -> Number:
    """CMMD to the reference pictures; only with CLIP."""
    network = comparison.encoders.require("image_text")
    if not network.is_clip:
        raise MissingError("CMMD needs CLIP.", "give a folder with --clip")
    sets = feature_sets(comparison, "image_text", network.name)
    if network.name != PUBLISHED:
        note = f"{sets.provenance.note}; published numbers use {PUBLISHED}"
        sets = sets._replace(provenance=sets.provenance._replace(note=note))
    kernels = gaussian_kernels(sets.features.flatten(0, 1), sets.reference)
    return discrepancy_number(kernels, sets, scale=SCALE)


COLUMN = Column(
    name="cmmd",
    better="lower",
    group="style",
    digits=3,
    about="1000 times the discrepancy of CLIP embeddings to the reference pictures, unbiased",
    measure=measure_cmmd,
)
