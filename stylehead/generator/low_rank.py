"""What training changed, in few numbers: low-rank factors of every change, the most telling ones first.

The change C [m, n] of a weight is the sum of its singular components, and most of it is in the first few. A
generator has many such weights. A component counts by its energy beside that of the weight that it changes,
`s^2 / ||W||^2`, since a generator normalises what its convolutions give; it costs `m + n` numbers. Those
that give most for their cost are kept, over all weights at once. A convolution [O, I, k, k] is read as a
matrix [O k, I k], which has shorter factors than [O, I k k] for components of the same energy.

Everything is computed in double precision on one thread of the CPU, and signs are fixed: equal changes give
equal bytes.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_SMALLEST = 64
"""Changes of so few numbers are stored as they are."""


class Change(NamedTuple):
    """What is added to a tensor, whole or as factors.

    Attributes:
        left: [m, r], or the whole change when there is no `right`.
        right: [r, n].
    """

    left: Tensor
    right: Tensor | None = None

    def fits(self, shape: torch.Size) -> bool:
        """Whether it can be added to a tensor of a shape."""
        if self.right is None:
            return self.left.shape == shape
        if len(shape) < 2:
            return False
        rows, columns = _matrix_shape(shape)
        rank = self.right.shape[0] if self.right.ndim else 0
        return self.left.shape == (rows, rank) and self.right.shape == (rank, columns)

    def whole(self, shape: torch.Size) -> Tensor:
        """Return the change in the shape of the tensor that it is added to, which it must fit."""
        if self.right is None:
            return self.left.float()
        return _fold(self.left.float() @ self.right.float(), shape)


class _Component(NamedTuple):
    worth: float
    """Energy beside the weight's own, for each stored number."""
    numbers: int
    name: str


class LowRank:
    """The changes of a generator in components, of which any number can be kept.

    Args:
        before: Tensors by name.
        after: Those of the same names that changed.
    """

    def __init__(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        self._whole: dict[str, Tensor] = {}
        self._factors: dict[str, tuple[Tensor, Tensor]] = {}
        components: list[_Component] = []
        with _one_thread():
            for name in sorted(after):
                start = before[name].detach().cpu().double()
                change = after[name].detach().cpu().double() - start
                self._whole[name] = change
                if change.ndim > 1 and change.numel() > _SMALLEST:
                    components += self._decompose(name, change, float(start.square().sum()))
        self._components = sorted(components, key=lambda item: (-item.worth, item.name))

    def _decompose(self, name: str, change: Tensor, energy: float) -> list[_Component]:
        left, right = _factors(_unfold(change))
        self._factors[name] = (left, right)
        numbers = left.shape[0] + right.shape[1]
        strength = (left.square().sum(dim=0) * right.square().sum(dim=1)).tolist()
        scale = max(energy, sum(strength)) or 1.0
        return [_Component(each / scale / numbers, numbers, name) for each in strength]

    def keep(self, share: float) -> dict[str, Change]:
        """Return the changes in half precision, in at most a share of the numbers that they have.

        Args:
            share: 0..1 of all numbers; those of changes that have no factors are kept beyond it.
        """
        left = share * sum(self._whole[name].numel() for name in self._factors)
        ranks = dict.fromkeys(self._factors, 0)
        for component in self._components:
            if component.numbers <= left:
                ranks[component.name] += 1
                left -= component.numbers
        return {name: self._change(name, ranks.get(name)) for name in self._whole}

    def whole(self) -> dict[str, Change]:
        """Return the changes in half precision, no component left out."""
        return {name: Change(_halved(change)) for name, change in self._whole.items()}

    def _change(self, name: str, rank: int | None) -> Change:
        whole = self._whole[name]
        if rank is None:
            return Change(_halved(whole))
        left, right = (
            part.narrow(axis, 0, rank) for axis, part in zip((1, 0), self._factors[name], strict=True)
        )
        if left.numel() + right.numel() >= whole.numel():
            return Change(_halved(whole))
        return Change(_halved(left), _halved(right))


def _factors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return L [m, r] and R [r, n] with `L R` equal to a matrix, the strongest component first.

    The two share a component's singular value evenly. It comes from the eigenvectors of the smaller one of
    the matrix's squares, which costs a fraction of its singular value decomposition.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    flat = matrix if wide else matrix.T
    _, vectors = torch.linalg.eigh(flat @ flat.T)
    vectors = vectors.flip(1)
    largest = vectors.abs().argmax(dim=0, keepdim=True)
    vectors = vectors * vectors.gather(0, largest).sign()
    others = vectors.T @ flat
    size = others.norm(dim=1).clamp_min(1e-30).sqrt()
    short, long = vectors * size, others / size[:, None]
    return (short, long) if wide else (long.T, short.T)


def _matrix_shape(shape: torch.Size) -> tuple[int, int]:
    if len(shape) == 4:
        return shape[0] * shape[2], shape[1] * shape[3]
    return shape[0], shape[1:].numel()


def _unfold(change: Tensor) -> Tensor:
    """Read a tensor as a matrix; a convolution [O, I, k, l] as [O k, I l]."""
    ordered = change.permute(0, 2, 1, 3) if change.ndim == 4 else change
    return ordered.reshape(_matrix_shape(change.shape))


def _fold(matrix: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return matrix.reshape(shape)
    outputs, inputs, height, width = shape
    return matrix.reshape(outputs, height, inputs, width).permute(0, 2, 1, 3).contiguous()


def _halved(tensor: Tensor) -> Tensor:
    """Round to half precision, to single precision where numbers are too large for it."""
    half = tensor.half()
    return half.contiguous() if torch.isfinite(half).all() else tensor.float().contiguous()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: sums depend on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
