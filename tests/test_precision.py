"""Half precision in the middle of a computation: values, and gradients of any size."""

import pytest
import torch

from stylehead.precision import LARGEST, HalfPart, choose_dtype


def through(part: HalfPart, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    inside = torch.nn.functional.conv2d(part.enter(x), part.enter(kernel), padding=1)
    return part.leave(inside.tanh())


def gradients(dtype: torch.dtype, size: float) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 8, 8, generator=rng).requires_grad_()
    kernel = torch.randn(4, 4, 3, 3, generator=rng).div(6).requires_grad_()
    out = through(HalfPart(dtype), x, kernel)
    assert out.dtype == torch.float32
    return list(torch.autograd.grad(out, (x, kernel), torch.randn(out.shape, generator=rng) * size))


@pytest.mark.parametrize("size", [1e-12, 1e-7, 1.0, 1e6])
def test_gradients_of_any_size_survive(size: float) -> None:
    for half, single in zip(gradients(torch.float16, size), gradients(torch.float32, size), strict=True):
        assert (half - single).norm() < 5e-3 * single.norm()


def test_without_scaling_small_ones_would_not() -> None:
    x = torch.ones(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(x.half().float(), x, torch.full((3,), 1e-9))
    assert not gradient.any()


def test_several_results_of_one_part_share_one_factor() -> None:
    x, part = torch.ones(2, requires_grad=True), HalfPart(torch.float16)
    inside = part.enter(x)
    first, second = part.leave(inside * 2), part.leave(inside * 3)
    (gradient,) = torch.autograd.grad(first.sum() * 1e-9 + second.sum() * 1e-7, x)
    torch.testing.assert_close(gradient, torch.full((2,), 2e-9 + 3e-7), rtol=2e-3, atol=0)


def test_zeros_stay_zeros_and_nan_stays_nan() -> None:
    for value, wanted in ((0.0, 0.0), (float("nan"), float("nan"))):
        x, part = torch.ones(2, requires_grad=True), HalfPart(torch.float16)
        (gradient,) = torch.autograd.grad(part.leave(part.enter(x)), x, torch.full((2,), value))
        torch.testing.assert_close(gradient, torch.full((2,), wanted), equal_nan=True)


def test_in_single_precision_nothing_happens() -> None:
    x, part = torch.ones(2, requires_grad=True), HalfPart(torch.float32)
    assert part.enter(x) is x
    assert part.leave(x) is x
    assert LARGEST < 1


def test_a_gpu_computes_in_half_precision_unless_told_otherwise() -> None:
    assert [choose_dtype("auto", device) for device in ("cpu", "cuda", "cuda:1")] == [
        torch.float32,
        torch.float16,
        torch.float16,
    ]
    assert choose_dtype("bf16", "cpu") == torch.bfloat16
    assert choose_dtype("fp32", "cuda") == torch.float32
