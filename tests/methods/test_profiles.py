"""The gradients of `paper` and `release`, derived anew from the equations and raw diffusers modules.

Nothing of the method takes part but the renders: images go through the bare autoencoder, noise levels come
from the betas, each half of each stage is a call of its own, singular values come from an SVD.
"""

import copy

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stylehead.methods.config import profile

TOLERANCE = 1e-5
WEIGHTS = torch.tensor([1.0, 0.75, 0.5, 0.25])


def feature_maps(image):
    return [image[..., ::2, ::2]]


def small(image: Tensor, size: int) -> Tensor:
    return functional.interpolate(image, (size, size), mode="bilinear", antialias=True, align_corners=False)


def tiled(four: Tensor) -> Tensor:
    """Top left, top right, bottom left, bottom right."""
    rows = [torch.cat([four[0], four[1]], -1), torch.cat([four[2], four[3]], -1)]
    return torch.cat(rows, -2)[None]


class Derivation:
    """One iteration of a stylizer, written down from the equations.

    Args:
        stylizer: About to do the iteration.
        name: Which profile its settings are.
    """

    def __init__(self, stylizer, name: str) -> None:
        self.name, self.teacher, self.parts = name, stylizer.teacher, stylizer.teacher.parts
        self.config, self.draw = stylizer.config, stylizer._draw()
        self.scene = stylizer._render(self.draw)
        self.rng = copy.deepcopy(stylizer.noise.get_state())
        self.size, self.latent = self.teacher.image_size, self.teacher.latent_size
        schedule = self.teacher.schedule
        roots = np.linspace(schedule.beta_start**0.5, schedule.beta_end**0.5, 1000)
        self.abar = np.cumprod(1 - roots**2)

    # ------------------------------------------------------------------------------------------ pictures

    def pictures(self) -> dict[str, Tensor]:
        views = self.scene.views
        raw = functional.interpolate(
            views["grid"].image_raw, (self.size // 2,) * 2, mode="bilinear", align_corners=True
        )
        return {
            "single": small(views["single"].image, self.size),
            "mirrored": small(views["single_mirrored"].image, self.size),
            "grid": tiled(raw),
        }

    def latents(self) -> dict[str, Tensor]:
        """Encode; `release` draws from the posterior, all pictures in their order."""
        pictures = self.pictures()
        found = {name: self.parts.vae.encode(picture).latent_dist for name, picture in pictures.items()}
        rng = torch.Generator()
        rng.set_state(self.rng)
        eps = torch.randn(len(found), *next(iter(found.values())).mean.shape[1:], generator=rng)
        factor = self.parts.vae.config.scaling_factor
        return {
            name: factor * (p.mean + (p.std * eps[i : i + 1] if self.name == "release" else 0))
            for i, (name, p) in enumerate(found.items())
        }

    def edges(self) -> Tensor:
        image = small(self.scene.reference_views["single"].image, self.size)[0].detach()
        image_01 = (image.clamp(-1, 1) * 0.5 + 0.5).permute(1, 2, 0).numpy()
        if self.name == "release":
            grey = (image_01[..., 0] * 255).astype(np.uint8)
        else:
            grey = np.rint(image_01 @ np.array([0.299, 0.587, 0.114], np.float32) * 255).astype(np.uint8)
        found = torch.from_numpy(cv2.Canny(grey, 50, 250)).float() / 255
        return found.expand(1, 3, -1, -1).contiguous()

    def depths(self) -> Tensor:
        tiles = []
        views = self.scene.reference_views["grid"]
        for depth, mask in zip(views.depth, views.mask, strict=True):
            inside = depth[mask > 0.5]
            near, far = inside.min(), inside.max()
            bright = torch.where(mask > 0.5, (far - depth) / (far - near).clamp_min(1e-6), 0.0).clamp(0, 1)
            tiles.append(functional.interpolate(bright[None], (self.size // 2,) * 2, mode="bilinear")[0])
        return tiled(torch.stack(tiles)).expand(-1, 3, -1, -1)

    def masks(self) -> dict[str, Tensor]:
        """Of `release`, the single view's is the trained head's and the grid's the untouched one's."""
        trained, frozen = self.scene.views, self.scene.reference_views
        single = (trained if self.name == "release" else frozen)["single"].mask
        return {
            "single": small(single, self.latent).detach(),
            "grid": tiled(small(frozen["grid"].mask, self.latent // 2)).detach(),
        }

    # ------------------------------------------------------------------------------------------ equations

    def hidden(self, prompt: str) -> Tensor:
        tokens = self.parts.tokenizer(
            prompt, padding="max_length", truncation=True, return_tensors="pt",
            max_length=self.parts.text_encoder.config.max_position_embeddings,
        )  # fmt: skip
        return self.parts.text_encoder(tokens.input_ids).last_hidden_state

    def eps_hat(self, x_t: Tensor, t: Tensor, prompt: str, kind: str, picture: Tensor) -> Tensor:
        hidden = self.hidden(prompt)
        down, mid = self.parts.controlnets[kind](
            x_t, t, encoder_hidden_states=hidden, controlnet_cond=picture, return_dict=False
        )
        return self.parts.unet(
            x_t, t, encoder_hidden_states=hidden,
            down_block_additional_residuals=down, mid_block_additional_residual=mid,
        ).sample  # fmt: skip

    @torch.no_grad()
    def gradient(self, stage: str, x_0: Tensor, kind: str, picture: Tensor) -> Tensor:
        """The score at one stage, weighed, masked, scaled and clamped."""
        index = self.draw.step_index[stage]
        t = 981 - 20 * index
        abar = float(self.abar[int(t)])
        x_t = abar**0.5 * x_0 + (1 - abar) ** 0.5 * self.draw.eps[stage]
        eps_text = self.eps_hat(x_t, t, self.config.prompt, kind, picture)
        eps_null = self.eps_hat(x_t, t, "", kind, picture)
        if self.name == "paper":
            score = abar**0.5 * (eps_null + 7.5 * (eps_text - eps_null)) / (1 - abar) ** 0.5
        else:
            score = float(self.abar[int(index)]) ** 0.5 * 7.5 * (eps_text - eps_null)
        if self.name == "paper" or stage == "single":
            score = self.ranked(score)
        return (score * self.masks()[stage] / 1000).clamp(-1, 1)

    def ranked(self, score: Tensor) -> Tensor:
        u, s, v = torch.linalg.svd(score[0].flatten(1).double(), full_matrices=False)
        weighed = (u @ torch.diag(WEIGHTS.double() * s) @ v).view(score.shape)
        if self.name == "paper":
            return weighed.float()
        before, after = score[0].flatten(1).double(), weighed[0].flatten(1)
        mean, std = after.mean(1, keepdim=True), after.std(1, keepdim=True) + 1e-5
        wanted_mean, wanted_std = before.mean(1, keepdim=True), before.std(1, keepdim=True) + 1e-5
        return ((after - mean) / std * wanted_std + wanted_mean).view(score.shape).float()

    def image_gradients(self) -> dict[str, Tensor]:
        """What arrives at the renders, through the autoencoder: single views, their mirrored, the grid's."""
        base, mirror = (1.0, 1.0) if self.name == "paper" else (0.75, 0.25)
        latents, views = self.latents(), self.scene.views
        single = self.gradient("single", latents["single"].detach(), "canny", self.edges())
        grid = self.gradient("grid", latents["grid"].detach(), "depth", self.depths())
        wanted = {
            "single": (latents["single"], views["single"].image, base * single),
            "mirrored": (latents["mirrored"], views["single_mirrored"].image, mirror * single.flip(-1)),
            "grid": (latents["grid"], views["grid"].image_raw, grid),
        }
        return {
            name: torch.autograd.grad(latent, render, gradient, retain_graph=True)[0]
            for name, (latent, render, gradient) in wanted.items()
        }


@pytest.mark.parametrize("name", ["paper", "release"])
def test_the_gradients_of_a_profile_are_those_of_its_equations(make_stylizer, name):
    settings = {**profile(name), "tweedie_weight": 0.0, "perceptual_weight": 0.0, "iterations": 3}
    stylizer = make_stylizer(**settings, features=feature_maps)
    stylizer.step()  # now the trained head is another than the untouched one
    with torch.no_grad():
        for parameter in stylizer.trained.values():
            parameter.mul_(1.02)
    derived = Derivation(stylizer, name)
    expected = derived.image_gradients()
    terms = stylizer.method.terms(derived.scene, rng=stylizer.noise)
    views = derived.scene.views
    renders = [views["single"].image, views["single_mirrored"].image]
    both = torch.autograd.grad(terms.scores["single"], renders, retain_graph=True)
    got = dict(zip(("single", "mirrored"), both, strict=True))
    (got["grid"],) = torch.autograd.grad(terms.scores["grid"], views["grid"].image_raw)
    for part, gradient in expected.items():
        assert gradient.abs().max() > 0, part
        error = (got[part] - gradient).abs().max() / gradient.abs().max()
        assert error < TOLERANCE, (part, float(error))


def test_the_profiles_differ_where_the_script_has_quirks(make_stylizer):
    paper, release = (
        make_stylizer(**profile(name), features=feature_maps).config for name in ("paper", "release")
    )
    differing = {key for key, value in paper.to_dict().items() if value != release.to_dict()[key]}
    assert differing == {
        "score", "alpha_lookup", "posterior", "rank", "rank_renormalise", "mask", "base_weight",
        "mirror_weight", "canny_channel", "canny_bytes", "noise_mode", "ray_jitter", "relative_distance_axis",
    }  # fmt: skip


def test_a_limit_flattens_the_likelihood_s_weight(make_stylizer):
    """Without one, step index 49 brings most of the squared gradient of the range 35 to 49."""
    from stylehead.methods.scores import likelihood_weight

    schedule = make_stylizer().teacher.schedule
    weights = likelihood_weight(schedule.alpha_bar(981 - 20 * torch.arange(35, 50))).square().flatten()
    assert weights[-1] / weights.sum() == pytest.approx(0.806, abs=0.01)
    flat = likelihood_weight(schedule.alpha_bar(981 - 20 * torch.arange(35, 50)), 1.0)
    assert (flat == 1).all()
    last = {"step_range": (49, 49), "step_window": 0}
    scores = [make_stylizer(**last, score_limit=limit).step().gradient_rms for limit in (None, 1.0)]
    ratio = scores[0]["single"] / scores[1]["single"]
    assert ratio == pytest.approx(float(weights[-1].sqrt()), rel=1e-3)
