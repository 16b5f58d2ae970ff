"""One iteration of the published script, re-enacted: what is computed there, as often, and in what numbers.

For comparisons of cost only. It renders one view at a time through the whole network, sixteen in all: of the
trained generator one view, its mirrored one, four for the grid, and those four mirrored, whose pictures are
never used; of the frozen one a view, its mirrored one (not used either), and four for the grid's depth. Every
picture is encoded by itself, the prompt is embedded anew for each question, both one-step estimates are
decoded, depth is estimated tile by tile, and three losses go back one after the other. Backbone and rays are
in single precision, super-resolution, autoencoder, UNet and ControlNets in half precision.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.generator import PanoHead, RenderOutput, trainable_parameters
from stylehead.geometry import conditioning_camera, mirror, random_cameras
from stylehead.images import FeatureMaps, resize, to_01
from stylehead.methods.ask import surrogate
from stylehead.methods.contract import DepthFunction
from stylehead.methods.losses import perceptual_loss, relative_distance_loss, tweedie_loss
from stylehead.methods.scores import rank_weigh
from stylehead.methods.stages import flip, merge, tile_raw
from stylehead.precision import like
from stylehead.teacher import (
    ControlCondition,
    EpsPair,
    PromptEmbedding,
    Teacher,
    canny_condition,
    estimated_depth_condition,
)

STEPS = (35, 49)
WEIGHTS, MIRRORED = (1.0, 0.75, 0.5, 0.25), (0.75, 0.25)


@dataclass
class Script:
    """The networks of the script, and its optimiser.

    Attributes:
        generator: What it trains.
        frozen: The untouched copy.
        teacher: Diffusion model, with both ControlNets.
        depth: Monocular depth.
        features: The network under its perceptual distance; None leaves that out.
    """

    generator: PanoHead
    frozen: PanoHead
    teacher: Teacher
    depth: DepthFunction
    features: FeatureMaps | None = None

    def __post_init__(self) -> None:
        self.device = next(self.generator.parameters()).device
        for network in (self.generator, self.frozen):
            network.requires_grad_(False)
            network.superresolution.dtype = torch.float32 if self.device.type == "cpu" else torch.float16
        trained = [parameter.requires_grad_(True) for _, parameter in trainable_parameters(self.generator)]
        self.optimizer = torch.optim.Adam(trained, lr=1e-4)
        self.choices = torch.Generator().manual_seed(0)
        self._before: tuple[Tensor, Tensor] | None = None

    def step(self) -> None:
        """Do one iteration."""
        ws = self._ws()
        view, four = self._cameras(1, 60.0), self._cameras(4, 180.0)
        single, planes = self._render(self.generator, ws, view)
        mirrored, _ = self._render(self.generator, ws, mirror(view))
        tiles = [self._render(self.generator, ws, camera)[0] for camera in four.split(1)]
        _ = [self._render(self.generator, ws, mirror(camera)) for camera in four.split(1)]
        with torch.no_grad():
            untouched, kept = self._render(self.frozen, ws, view)
            self._render(self.frozen, ws, mirror(view))
            plain = [self._render(self.frozen, ws, camera)[0] for camera in four.split(1)]
        self.optimizer.zero_grad()
        denoised = self._single(single, mirrored, untouched)
        self._grid(tiles, plain)
        self._rest(single, denoised, (planes, kept))
        self.optimizer.step()

    # ------------------------------------------------------------------------------------------- drawing

    def _ws(self) -> Tensor:
        z = torch.randn(1, self.generator.config.z_dim, generator=self.choices).to(self.device)
        looking = conditioning_camera(0.2).to(self.device)
        return self.frozen.mapping(z, looking, truncation_psi=0.75)

    def _cameras(self, count: int, yaw_deg: float) -> Tensor:
        yaw, pitch = torch.pi * yaw_deg / 180, torch.pi / 6
        drawn = random_cameras(count, yaw_range_rad=yaw, pitch_range_rad=pitch, rng=self.choices)
        return drawn.to(self.device)

    def _render(self, generator: PanoHead, ws: Tensor, camera: Tensor) -> tuple[RenderOutput, Tensor]:
        planes = generator.planes(ws)
        return generator.render(planes, ws, camera), planes

    # ----------------------------------------------------------------------------------------- distilling

    def _single(self, single: RenderOutput, mirrored: RenderOutput, untouched: RenderOutput) -> Tensor:
        """Distil a view and its mirrored one; the one-step estimate of the view."""
        size = self.teacher.image_size
        edges = canny_condition(resize(untouched.image, size), channel="red", truncate=True)
        condition = ControlCondition("canny", edges)
        latents = self.teacher.encode(resize(single.image, size))
        score, denoised = self._ask(latents, condition)
        score = self._masked(rank_weigh(score, WEIGHTS, renormalise=True), single.mask)
        others = self.teacher.encode(resize(mirrored.image, size))
        own, other = MIRRORED
        total = own * surrogate(latents, score) + other * surrogate(others, flip(score))
        total.backward(retain_graph=True)
        return denoised

    def _grid(self, tiles: list[RenderOutput], plain: list[RenderOutput]) -> None:
        """Distil four views as one picture."""
        size = self.teacher.image_size
        with torch.no_grad():
            depths = [estimated_depth_condition(self.depth(tile.image), size=size // 2) for tile in plain]
        condition = ControlCondition("depth", merge(torch.cat(depths)))
        latents = self.teacher.encode(tile_raw(torch.cat([tile.image_raw for tile in tiles]), size=size))
        score, _ = self._ask(latents, condition)
        half = self.teacher.latent_size // 2
        mask = merge(torch.cat([resize(tile.mask, half) for tile in plain]))
        surrogate(latents, self._masked(score, mask)).backward(retain_graph=True)

    @torch.no_grad()
    def _ask(self, latents: Tensor, condition: ControlCondition) -> tuple[Tensor, Tensor]:
        """Return the script's score on latents, and the decoded one-step estimate."""
        index = torch.randint(STEPS[0], STEPS[1] + 1, (1,), generator=self.choices).to(self.device)
        schedule = self.teacher.schedule
        timestep = schedule.timestep(index)
        eps = torch.randn(latents.shape, generator=self.choices).to(self.device)
        noisy = schedule.add_noise(latents, eps, timestep)
        text = PromptEmbedding(self._embed(), self._embed())
        pair = self.teacher.predict(noisy, timestep, text, condition=condition)
        estimate = schedule.tweedie(noisy, pair.guided(7.5), timestep)
        return self._scored(pair, index), self.teacher.decode(estimate).clamp(-1, 1)

    def _scored(self, pair: EpsPair, index: Tensor) -> Tensor:
        alpha_bar = self.teacher.schedule.misread_alpha_bar(index)
        return alpha_bar.sqrt() * 7.5 * (pair.eps_cond - pair.eps_uncond)

    def _embed(self) -> Tensor:
        encoder: Any = self.teacher.parts.text_encoder
        tokens = like((0,) * encoder.config.max_position_embeddings, torch.empty(0, dtype=torch.int64))
        hidden: Tensor = encoder(tokens[None].to(self.device)).last_hidden_state
        return hidden

    def _masked(self, score: Tensor, mask: Tensor) -> Tensor:
        size = self.teacher.latent_size
        masked = score * functional.interpolate(mask.detach(), (size, size))
        return (masked / 1000).clamp(-1, 1)

    def _rest(self, single: RenderOutput, denoised: Tensor, planes: tuple[Tensor, Tensor]) -> None:
        """Compare the view with its one-step estimate, and heads with the one before."""
        picture = resize(single.image, self.teacher.image_size)
        total = 0.1 * tweedie_loss(picture, to_01(denoised))
        if self.features is not None:
            total = total + 0.05 * perceptual_loss(picture, denoised, self.features)
        if self._before is not None:
            pairs = [(now, then) for now, then in zip(planes, self._before, strict=True)]
            total = total + relative_distance_loss(*pairs, axis="planes", floor=0, limit=0)
        total.backward()
        self._before = (planes[0].detach(), planes[1])
