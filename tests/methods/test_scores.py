"""Scores, rank weighing, mirror, grid and gradient injection, each against slow code or by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.errors import UsageError
from stylehead.images import resize
from stylehead.methods.ask import surrogate
from stylehead.methods.scores import latent_gradient, match_channel_statistics, rank_weigh
from stylehead.methods.stages import flip, flip_tiles, merge, split, tile_final, tile_raw
from stylehead.teacher import EpsPair, Schedule

PUBLISHED = (1.0, 0.75, 0.5, 0.25)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -------------------------------------------------------------------------------------------------- scores


@settings(deadline=None, max_examples=40)
@given(kind=st.sampled_from(["likelihood", "paper", "classifier", "sds"]), seed=st.integers(0, 999))
def test_scores_equal_the_formulas_element_by_element(kind, seed):
    cond, uncond, eps = noise(3, 2, 4, 2, 3, seed=seed)
    schedule, timestep, s = Schedule(), torch.tensor([281, 1]), 7.5
    alpha_bar = schedule.alpha_bar(timestep).double()
    got = latent_gradient(kind, EpsPair(cond, uncond), eps, cfg_scale=s, alpha_bar=alpha_bar)
    for at in np.ndindex(*got.shape):
        abar = float(schedule.alphas_cumprod[timestep[at[0]]])
        c, u, e = float(cond[at]), float(uncond[at]), float(eps[at])
        guided = u + s * (c - u)
        expected = {
            "classifier": math.sqrt(abar) * s * (c - u),
            "likelihood": math.sqrt(abar) * (guided - e) / math.sqrt(1 - abar),
            "paper": math.sqrt(abar) * guided / math.sqrt(1 - abar),
            "sds": (1 - abar) * (guided - e),
        }[kind]
        assert math.isclose(float(got[at]), expected, rel_tol=1e-5, abs_tol=1e-9)


def test_only_scores_that_subtract_the_drawn_noise_look_at_it():
    cond, uncond, eps, other = noise(4, 1, 4, 2, 2)
    alpha_bar = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)
    for kind, changes in (("classifier", False), ("paper", False), ("likelihood", True), ("sds", True)):
        one = latent_gradient(kind, EpsPair(cond, uncond), eps, cfg_scale=3, alpha_bar=alpha_bar)
        two = latent_gradient(kind, EpsPair(cond, uncond), other, cfg_scale=3, alpha_bar=alpha_bar)
        assert torch.equal(one, two) != changes


def test_the_paper_score_is_the_likelihoods_gradient():
    """For Gaussian data the noise prediction is known, and so is log p(x_t): autograd must agree."""
    mean, spread = noise(1, 4, 2, 2, seed=1), 0.3
    x0, eps = noise(2, 1, 4, 2, 2, seed=2)
    abar = torch.tensor(0.6, dtype=torch.float64).reshape(1, 1, 1, 1)
    variance = abar * spread**2 + 1 - abar
    x_t = (abar.sqrt() * x0 + (1 - abar).sqrt() * eps).requires_grad_()
    log_p = -((x_t - abar.sqrt() * mean) ** 2 / (2 * variance)).sum()
    (score,) = torch.autograd.grad(log_p, x_t)
    eps_hat = -(1 - abar).sqrt() * score
    got = latent_gradient("paper", EpsPair(eps_hat, eps_hat), eps, cfg_scale=7.5, alpha_bar=abar)
    torch.testing.assert_close(got, -score * abar.sqrt())


def test_likelihood_is_the_papers_score_with_less_variance():
    """The subtracted noise has mean zero; for Gaussian data hardly any is left."""
    mean, spread, abar = noise(1, 4, 1, 1, seed=1), 0.3, torch.full((20_000, 1, 1, 1), 0.6).double()
    x0, eps = mean + 1, noise(20_000, 4, 1, 1, seed=2)
    x_t = abar.sqrt() * x0 + (1 - abar).sqrt() * eps
    eps_hat = (1 - abar).sqrt() * (x_t - abar.sqrt() * mean) / (abar * spread**2 + 1 - abar)
    pair = EpsPair(eps_hat, eps_hat)
    paper, likelihood = (
        latent_gradient(kind, pair, eps, cfg_scale=1, alpha_bar=abar) for kind in ("paper", "likelihood")
    )
    torch.testing.assert_close(likelihood.mean(0), paper.mean(0), atol=0.04, rtol=0)
    assert likelihood.var(0).mean() < 0.05 * paper.var(0).mean()


# -------------------------------------------------------------------------------------------------- rank


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), weights=st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_rank_weighing_equals_a_singular_value_decomposition_per_sample(seed, weights):
    score = noise(3, 4, 5, 6, seed=seed)
    got = rank_weigh(score, weights)
    for sample in range(3):
        u, s, vt = np.linalg.svd(score[sample].reshape(4, -1).numpy(), full_matrices=False)
        expected = (u * (s * np.array(weights))) @ vt
        np.testing.assert_allclose(got[sample].reshape(4, -1).numpy(), expected, atol=1e-10)


def test_rank_weighing_in_single_precision_is_close_to_numpy():
    score = noise(1, 4, 16, 16, seed=3).float()
    u, s, vt = np.linalg.svd(score[0].reshape(4, -1).double().numpy(), full_matrices=False)
    expected = ((u * (s * np.array(PUBLISHED))) @ vt).reshape(1, 4, 16, 16)
    got = rank_weigh(score, PUBLISHED)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, atol=2e-6)


def test_weights_of_one_change_nothing_and_zero_score_stays_zero():
    score = noise(2, 4, 3, 3)
    torch.testing.assert_close(rank_weigh(score, (1, 1, 1, 1)), score)
    assert not rank_weigh(torch.zeros_like(score), PUBLISHED).any()


def test_rank_weighing_only_shrinks():
    score = noise(2, 4, 8, 8)
    assert rank_weigh(score, PUBLISHED).norm() < score.norm()


def test_renormalising_restores_every_channels_statistics():
    score = noise(2, 4, 8, 8) * 3 + 1
    got = rank_weigh(score, PUBLISHED, renormalise=True)
    torch.testing.assert_close(got.mean((2, 3)), score.mean((2, 3)), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(got.std((2, 3)), score.std((2, 3)), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(got, score, atol=0.05)


def test_channel_statistics_equal_a_slow_loop():
    values, like = noise(2, 2, 3, 4, 5)
    got = match_channel_statistics(values, like)
    for b, c in np.ndindex(2, 3):
        plane, target = values[b, c].numpy(), like[b, c].numpy()
        spread = plane.std(ddof=1) + 1e-5
        expected = (plane - plane.mean()) / spread * (target.std(ddof=1) + 1e-5) + target.mean()
        np.testing.assert_allclose(got[b, c].numpy(), expected, atol=1e-12)


def test_a_wrong_number_of_rank_weights_is_refused():
    with pytest.raises(UsageError, match="--rank-weights"):
        rank_weigh(noise(1, 4, 2, 2), (1.0, 0.5))


# --------------------------------------------------------------------------------------- grid, mirror


@settings(deadline=None, max_examples=40)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)))
def test_split_undoes_merge(shape):
    identities, channels, height, width = shape
    tiles = noise(identities * 4, channels, height, width)
    grid = merge(tiles)
    assert grid.shape == (identities, channels, 2 * height, 2 * width)
    assert torch.equal(split(grid), tiles)


def test_tiles_lie_where_the_docstring_says():
    grid = merge(torch.arange(8.0).reshape(8, 1, 1, 1))
    assert grid.squeeze(1).tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_raw_tiles_are_enlarged_with_aligned_corners():
    raw = noise(4, 3, 4, 4)
    grid = tile_raw(raw, size=16)
    tiles = split(grid)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        torch.testing.assert_close(tiles[..., corner[0], corner[1]], raw[..., corner[0], corner[1]])
    for tile, i, j in ((0, 3, 5), (3, 6, 1)):
        y, x = i * 3 / 7, j * 3 / 7
        top, left = int(y), int(x)
        fy, fx = y - top, x - left
        window = raw[tile, :, top : top + 2, left : left + 2]
        by_hand = (
            window[:, 0, 0] * (1 - fy) * (1 - fx)
            + window[:, 0, 1] * (1 - fy) * fx
            + window[:, 1, 0] * fy * (1 - fx)
            + window[:, 1, 1] * fy * fx
        )
        torch.testing.assert_close(tiles[tile, :, i, j], by_hand)
    assert torch.equal(tile_raw(raw, size=8), merge(raw))


def test_final_tiles_keep_plain_colours_and_sizes():
    final = torch.linspace(-1, 1, 4).reshape(4, 1, 1, 1).expand(4, 3, 16, 16)
    grid = tile_final(final, size=16)
    torch.testing.assert_close(split(grid), final[..., :8, :8])
    same = noise(2, 3, 6, 6)
    assert resize(same, 6) is same


def test_flips_by_hand():
    latents = noise(1, 2, 4, 6)
    for b, c, i, j in np.ndindex(1, 2, 4, 6):
        assert flip(latents)[b, c, i, j] == latents[b, c, i, 5 - j]
        tile = j // 3
        assert flip_tiles(latents)[b, c, i, j] == latents[b, c, i, tile * 3 + 2 - (j - tile * 3)]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 100))
def test_flips_are_involutions(seed):
    grid = noise(2, 4, 6, 8, seed=seed)
    assert torch.equal(flip(flip(grid)), grid)
    assert torch.equal(flip_tiles(flip_tiles(grid)), grid)


# -------------------------------------------------------------------------------------------------- injection


def test_the_surrogates_derivative_is_the_gradient():
    latents, gradient = noise(2, 3, 4, 2, 2)
    latents.requires_grad_()
    surrogate(latents, gradient.requires_grad_()).backward()
    torch.testing.assert_close(latents.grad, gradient.detach() / 3)
    assert gradient.grad is None


def test_gradcheck_of_the_surrogate():
    gradient = noise(2, 4, 3, 3, seed=9)
    latents = noise(2, 4, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: surrogate(x, gradient), latents)


def test_injection_equals_the_analytic_chain_rule():
    """sqrt(abar) score (base dx0^pi/dtheta + mirror M dx0^pi'/dtheta), through a nonlinear map."""
    theta = noise(5).requires_grad_()
    basis, mirrored_basis = noise(2, 5, 1 * 4 * 2 * 2, seed=4)

    def encode(weights: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        return torch.tanh(weights @ matrix).reshape(1, 4, 2, 2)

    cond, uncond = noise(2, 1, 4, 2, 2, seed=5)
    abar = torch.tensor(0.622, dtype=torch.float64).reshape(1, 1, 1, 1)
    gradient = latent_gradient(
        "classifier", EpsPair(cond, uncond), torch.zeros_like(cond), cfg_scale=7.5, alpha_bar=abar
    )
    loss = 0.75 * surrogate(encode(theta, basis), gradient)
    loss = loss + 0.25 * surrogate(encode(theta, mirrored_basis), flip(gradient))
    loss.backward()

    score = 7.5 * (cond - uncond)
    jacobian = torch.autograd.functional.jacobian(lambda w: encode(w, basis), theta.detach())
    mirrored = torch.autograd.functional.jacobian(lambda w: encode(w, mirrored_basis), theta.detach())
    expected = torch.zeros(5, dtype=torch.float64)
    for c, i, j in np.ndindex(4, 2, 2):
        expected += 0.75 * math.sqrt(0.622) * score[0, c, i, j] * jacobian[0, c, i, j]
        expected += 0.25 * math.sqrt(0.622) * score[0, c, i, 1 - j] * mirrored[0, c, i, j]
    torch.testing.assert_close(theta.grad, expected)
