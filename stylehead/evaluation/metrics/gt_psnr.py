"""Peak signal-to-noise ratio to the true stylised pictures, where they are known."""

from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Overlap, Provenance, mean_over_people, shared
from stylehead.evaluation.portraits import Portraits
from stylehead.images import bytes_to_01, psnr, resize


def psnr_to(truth: Portraits, portraits: Portraits, both: Overlap) -> Tensor:
    """PSNR in dB [N, V] of pictures to the true ones, of the people and sides that both show."""
    ours = bytes_to_01(both.first(portraits.images)).flatten(0, 1)
    theirs = bytes_to_01(both.second(truth.images)).flatten(0, 1)
    return psnr(resize(ours, theirs.shape[-1]), theirs).unflatten(0, (len(both.seeds), -1))


def measure_gt_psnr(comparison: Comparison) -> Number:
    """PSNR in dB to the true stylised pictures."""
    truth = comparison.target.need_truth().portraits
    both = shared(comparison.stylised.portraits, truth, "The true pictures")
    values = psnr_to(truth, comparison.stylised.portraits, both)
    return mean_over_people(values, Provenance.of(both))


COLUMN = Column(
    name="gt_psnr",
    better="higher",
    group="shape",
    digits=2,
    about="PSNR in dB to the true stylised picture",
    measure=measure_gt_psnr,
)
