"""Projection: the head and the camera that reproduce a picture, by gradient descent through the renderer.

Three stages. Several starts move for a few steps at a low resolution, and the best goes on. Then raw renders
are compared, with one style vector for all layers (W). At last whole pictures are compared, every layer has a
style vector of its own (W+), and features and identity count as well.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError
from stylehead.generator import PanoHead, RenderOptions
from stylehead.images import resize
from stylehead.inversion.inversion_config import InversionConfig, noise_scale, ramp
from stylehead.inversion.latents import LatentSpace
from stylehead.inversion.pose import label_of_pose
from stylehead.inversion.search import Start
from stylehead.inversion.similarity import ImageSimilarity, TargetImage, pixel_distance

Stage = Literal["starts", "raw", "whole"]
_OTHER_UNITS = (math.radians(2.0), 0.01, 0.01, 0.01)  # roll, shifts and magnification: trusted this far


class ProjectionStep(NamedTuple):
    """A step that was made."""

    stage: Stage
    """Which of the three."""
    number: int
    """Steps done, all stages together."""
    total: int
    """Steps of the whole projection."""
    terms: dict[str, float]
    """Terms of the loss, weighted, of the best head."""
    image: Tensor
    """Its render [1, 3, r, r] in -1..1."""


class ProjectedHead(NamedTuple):
    """What a projection found."""

    ws: Tensor
    """[1, num_ws, w_dim]."""
    camera_label: Tensor
    """[1, 25]."""
    loss: float
    """Distance of the picture that they make, before latent and pose terms."""


@dataclass(frozen=True, eq=False)
class Initialisation:
    """What is known beside the picture."""

    start: Start
    """Where to start from."""
    trust_rad: Tensor
    """How far the yaw and pitch of each start are trusted, [K] radians."""
    camera_label: Tensor | None = None
    """The camera [1, 25], if it must stay as it is."""


def _ignore(_step: ProjectionStep) -> None:
    pass


class Projection:
    """Projects one picture.

    Args:
        generator: In evaluation mode; its parameters must not require gradients.
        space: Its latents.
        similarity: Compares pictures.
        target: The picture.
        config: Settings.
    """

    def __init__(
        self,
        generator: PanoHead,
        space: LatentSpace,
        similarity: ImageSimilarity,
        target: TargetImage,
        config: InversionConfig | None = None,
    ) -> None:
        self._generator, self._space, self._similarity = generator, space, similarity
        self._config = config or InversionConfig()
        self._raw_resolution = generator.config.neural_rendering_resolution
        self._target = target.at(generator.config.img_resolution)
        self._rng = torch.Generator(device=space.mean.device).manual_seed(self._config.seed)
        self._done = 0

    @property
    def total(self) -> int:
        """Steps of a whole projection."""
        return self._config.coarse_steps + self._config.steps

    def run(
        self, initial: Initialisation, on_step: Callable[[ProjectionStep], None] = _ignore
    ) -> ProjectedHead:
        """Find the head.

        Args:
            initial: Where to start.
            on_step: Called after every step; may raise to stop.

        Raises:
            JobError: The loss is not finite.
        """
        config = self._config
        state = _State(initial, self._space, config)
        raw_steps = round(config.steps * config.raw_share)
        self._stage(state, "starts", config.coarse_steps, on_step)
        state.keep(int(self._distances(state, "starts").argmin()))
        self._stage(state, "raw", raw_steps, on_step)
        state.open_layers()
        self._stage(state, "whole", config.steps - raw_steps, on_step)
        return self._settle(state, initial)

    # --------------------------------------------------------------------------------------------- one stage

    def _stage(
        self, state: "_State", stage: Stage, steps: int, on_step: Callable[[ProjectionStep], None]
    ) -> None:
        config = self._config
        optimizer = torch.optim.Adam(state.groups(), betas=(0.9, 0.95))
        pose_until = config.pose_share if stage == "whole" else 1.0
        for step in range(steps):
            progress = (step + 1) / (steps + 1)
            for group, rate in zip(
                optimizer.param_groups, (config.learning_rate, config.pose_rate), strict=False
            ):
                group["lr"] = rate * ramp(progress, down=0.25 if stage == "whole" else 0.5)
            state.move_pose(step < pose_until * steps)
            terms, image = self._terms(state, stage, noise_scale(progress, config.noise))
            total = torch.stack(list(terms.values())).sum(dim=0)
            if not torch.isfinite(total).all():
                raise JobError("The projection does not converge: its loss is not finite.", "try --seed 1")
            optimizer.zero_grad(set_to_none=True)
            total.sum().backward()
            optimizer.step()
            self._done += 1
            best = int(total.detach().argmin())
            figures = {name: float(values[best].detach()) for name, values in terms.items()}
            on_step(ProjectionStep(stage, self._done, self.total, figures, image[best : best + 1].detach()))

    def _terms(self, state: "_State", stage: Stage, noise: float) -> tuple[dict[str, Tensor], Tensor]:
        """All weighted terms of the loss, each [K], and the renders."""
        config = self._config
        coords = state.coords
        if noise > 0:
            coords = coords + noise * torch.randn(coords.shape, generator=self._rng, device=coords.device)
        ws = self._space.ws(coords, state.offsets)
        terms, image = self._compare(ws, state.labels(), stage)
        terms["latent"] = config.latent_weight * (state.coords - state.anchor).square().mean(dim=1)
        if state.offsets is not None:
            terms["layers"] = config.layer_weight * state.offsets.square().mean(dim=(1, 2))
        terms["pose"] = config.pose_weight * state.moved.square().sum(dim=1)
        return terms, image

    def _compare(self, ws: Tensor, labels: Tensor, stage: Stage) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted terms that compare renders with the picture, each [K], and the renders."""
        config, generator = self._config, self._generator
        grid = generator.prepare(generator.planes(ws))
        resolution = max(4, self._raw_resolution // 2) if stage == "starts" else self._raw_resolution
        options = RenderOptions(resolution=resolution, raw_mask=True)
        terms: dict[str, Tensor] = {}
        if stage == "whole":
            out = generator.render(grid, ws, labels, background="white", options=options)
            image, mask = out.image, out.mask
            target = self._target.completed(image, resize(mask, image.shape[-1]))
            if config.perceptual_weight and self._similarity.trunk is not None:
                distance = self._similarity.perceptual_loss(image, target.image)
                terms["perceptual"] = config.perceptual_weight * distance
            if config.identity_weight and self._similarity.identity is not None:
                likeness = self._similarity.identity_similarity(_jolted(image, self._rng), target.image)
                terms["identity"] = config.identity_weight * (1 - likeness)
        else:
            raw = generator.render_raw(grid, ws, labels, background="white", options=options)
            image, mask = raw.image_raw, raw.weight_sum
            target = self._target.at(resolution).completed(image, mask)
        outline = (mask - target.at(resolution).mask).square().mean(dim=(1, 2, 3))
        return {
            "pixel": pixel_distance(image, target.image, target.weight),
            "mask": config.mask_weight * outline,
            **terms,
        }, image

    # --------------------------------------------------------------------------------------------- the result

    @torch.no_grad()
    def _distances(self, state: "_State", stage: Stage) -> Tensor:
        """Loss of every start as it is now, without noise, [K]."""
        terms, _ = self._terms(state, stage, 0.0)
        return torch.stack(list(terms.values())).sum(dim=0)

    @torch.no_grad()
    def _settle(self, state: "_State", initial: Initialisation) -> ProjectedHead:
        """Take the refined pose only if the found head looks more like the picture from there."""
        ws = self._space.ws(state.coords, state.offsets)
        candidates = [state.labels()]
        if initial.camera_label is None:
            candidates.append(label_of_pose(state.first_poses))
        losses = []
        state_of_rng = self._rng.get_state()
        for labels in candidates:
            self._rng.set_state(state_of_rng)
            terms, _ = self._compare(ws, labels, "whole")
            losses.append(float(torch.stack(list(terms.values())).sum()))
        best = losses.index(min(losses))
        return ProjectedHead(ws, candidates[best], losses[best])


def _jolted(image: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures [K, 3, R, R] moved by up to a sixteenth of their edge, and mirrored every other time.

    So that an identity network is convinced by faces, and not by a pattern that fits one place.
    """
    reach = image.shape[-1] // 16
    down, right, mirrored = torch.rand(3, generator=rng, device=rng.device).tolist()
    padded = functional.pad(image, (reach,) * 4, mode="replicate")
    top, left = int(down * (2 * reach + 1)), int(right * (2 * reach + 1))
    moved = padded[..., top : top + image.shape[-2], left : left + image.shape[-1]]
    return moved.flip(-1) if mirrored < 0.5 else moved


class _State:
    """What is being moved: coordinates [K, A], layer offsets [1, num_ws, A], and shifts of poses [K, 6]."""

    def __init__(self, initial: Initialisation, space: LatentSpace, config: InversionConfig) -> None:
        kept = slice(0, config.starts)
        self._num_ws = space.num_ws
        self.coords = initial.start.coords[kept].detach().clamp(-3, 3).clone().requires_grad_(True)
        self.anchor = self.coords.detach().clone() if config.people else torch.zeros_like(self.coords)
        self.offsets: Tensor | None = None
        self.first_poses = initial.start.poses[kept].detach().clone()
        others = self.first_poses.new_tensor(_OTHER_UNITS).expand(len(self.first_poses), -1)
        trust = initial.trust_rad[kept, None].to(self.first_poses)
        self._units = torch.cat([trust, trust, others], dim=1)
        self.moved = torch.zeros_like(self.first_poses).requires_grad_(initial.camera_label is None)
        self._fixed = initial.camera_label

    def labels(self) -> Tensor:
        """Cameras [K, 25] as they are now."""
        if self._fixed is not None:
            return self._fixed.expand(len(self.coords), -1)
        return label_of_pose(self.first_poses + self.moved * self._units)

    def groups(self) -> list[dict[str, object]]:
        """Parameter groups: latents, then poses when they move."""
        latents = [self.coords] if self.offsets is None else [self.coords, self.offsets]
        groups: list[dict[str, object]] = [{"params": latents}]
        if self._fixed is None:
            groups.append({"params": [self.moved]})
        return groups

    def move_pose(self, moving: bool) -> None:
        """Let poses follow gradients, or hold them: renders are cheaper then."""
        if self._fixed is None:
            self.moved.requires_grad_(moving)

    def keep(self, row: int) -> None:
        """Go on with one start."""
        rows = slice(row, row + 1)
        self.coords, self.anchor = self.coords.detach()[rows].clone().requires_grad_(True), self.anchor[rows]
        self.first_poses, self._units = self.first_poses[rows], self._units[rows]
        self.moved = self.moved.detach()[rows].clone().requires_grad_(self._fixed is None)

    def open_layers(self) -> None:
        """Give every layer a style vector of its own, from now on."""
        count = self.coords.shape[1]
        self.offsets = self.coords.new_zeros(1, self._num_ws, count).requires_grad_(True)
