"""The embedded generator, by direct regression: an identity in numbers -> its pictures from any side.

Nothing adversarial: the procedural world knows the true picture, mask and depth of every identity from every
camera. A small network maps the 128 numbers of an identity to w while the synthesis learns to draw; the
mapping from z is fitted to those w afterwards (`mapping.py`), which needs no picture at all.

Rays are sampled where the truth is: depths in training come from the true depth of the ray (a third of the
samples of the real renderer), and from the renderer itself towards the end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from stylehead.files import save_tensors
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.layers import SynthesisLayer
from stylehead.generator.renderer import DensityEdits, RaySamples, camera_rays, march
from stylehead.mini.recipes.data import Views, image_pm1, ray_depths

IDENTITY_TO_W = "identity_to_w.safetensors"
"""Beside the embedded generator, for going on with its training; nothing else reads it."""

_BAND = 0.07  # world units before and behind the true surface that most samples fall into
_FREE, _NEAR, _BEHIND = 4, 8, 2


class IdentityToW(nn.Module):
    """From the numbers of an identity [B,128] to w [B,w_dim]; exists for training only."""

    mean: Tensor
    scale: Tensor

    def __init__(self, numbers: Tensor, *, w_dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.register_buffer("mean", numbers.mean(dim=0))
        self.register_buffer("scale", 1 / numbers.std(dim=0).clamp(min=0.05))
        size = numbers.shape[1]
        self.skip = nn.Linear(size, w_dim)
        self.layers = nn.Sequential(
            nn.Linear(size, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
            nn.Linear(hidden, w_dim),
        )  # fmt: skip

    def forward(self, numbers: Tensor) -> Tensor:
        """Map [B,128] to [B,w_dim]."""
        x = (numbers - self.mean) * self.scale
        return self.skip(x) + self.layers(x)


class GeneratorModel(nn.Module):
    """The generator and the network that feeds it."""

    def __init__(self, config: GeneratorConfig, numbers: Tensor) -> None:
        super().__init__()
        self.generator = PanoHead(config)
        learn_noise(self.generator)
        self.identity_to_w = IdentityToW(numbers, w_dim=config.w_dim)

    def ws(self, numbers: Tensor) -> Tensor:
        """[K,128] to [K,num_ws,w_dim]."""
        return self.identity_to_w(numbers)[:, None].expand(-1, self.generator.num_ws, -1)


def learn_noise(generator: PanoHead) -> None:
    """Train the constant noise of the backbone: a map a layer that says where things are.

    All heads look the same way and have their eyes in the same place; without a map that can say "here", the
    convolutions need very long to draw them. The published network has these maps too, random and fixed.
    """
    for module in generator.backbone.synthesis.modules():
        if isinstance(module, SynthesisLayer):
            size = module.noise_const.shape
            del module.noise_const
            module.noise_const = nn.Parameter(torch.zeros(size))
            nn.init.constant_(module.noise_strength, 0.5)


@dataclass(frozen=True)
class Rendered:
    """One training render: image [B,3,R,R], image_raw [B,3,r,r], weight_sum and depth [B,1,r,r]."""

    image: Tensor
    image_raw: Tensor
    weight_sum: Tensor
    depth: Tensor


class GeneratorRecipe:
    """See the module's text.

    Args:
        views: Photographic renders.
        identities: Identities in a step.
        views_each: Views of each identity in a step.
        renderer_from: Part of the stretch after which rays are sampled as the real renderer does.
    """

    name = "generator"
    learning_rate = 1.3e-3  # higher rates drown in the noise of so few pictures a step

    def __init__(
        self, views: Views, *, identities: int = 3, views_each: int = 2, renderer_from: float = 0.75
    ) -> None:
        self.views = views
        self.identities = identities
        self.views_each = views_each
        self.renderer_from = renderer_from
        torch.manual_seed(0)
        self.model = GeneratorModel(GeneratorConfig.mini(), views.numbers)

    def parameters(self) -> list[dict[str, object]]:
        """Everything but the two mappings from z, with a slower rate for the plain layers."""
        generator = self.model.generator
        skipped = {
            id(p) for part in (generator.backbone.mapping, generator.t_mapping) for p in part.parameters()
        }
        drawn: Iterable[nn.Parameter] = (p for p in generator.parameters() if id(p) not in skipped)
        return [
            {"params": list(drawn), "lr": self.learning_rate},
            {"params": list(self.model.identity_to_w.parameters()), "lr": self.learning_rate},
        ]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Picture, raw picture, mask and depth against the truth."""
        rows = torch.randint(len(self.views), (self.identities,), generator=rng)
        count = self.views.images.shape[1]
        columns = torch.stack([torch.randperm(count, generator=rng)[: self.views_each] for _ in rows])
        batch = _select(self.views, rows, columns)
        resolution = self.model.generator.config.neural_rendering_resolution
        mask, depth = ray_depths(batch, resolution)
        truth = image_pm1(batch.images).flatten(0, 1)
        mask, depth = (x.flatten(0, 1)[:, None] for x in (mask, depth))

        ws = self.model.ws(batch.numbers)
        cameras = batch.cameras.flatten(0, 1)
        if progress < self.renderer_from:
            rendered = render_guided(self.model.generator, ws, cameras, (mask, depth), rng)
        else:
            out = self.model.generator.synthesis(
                ws, cameras, background="white", deterministic=False, generator=rng, noise_mode="const"
            )
            rendered = Rendered(out.image, out.image_raw, (out.mask + 0.001) / 1.002, out.depth)
        return _loss(rendered, truth, mask, depth)

    def warm_start(self, folder: Path) -> bool:
        """Both networks, from the embedded files."""
        assert isinstance(self.model, GeneratorModel)
        drawn, numbers = folder / "generator.safetensors", folder / IDENTITY_TO_W
        if not (drawn.is_file() and numbers.is_file()):
            return False
        embedded = PanoHead.load(drawn)
        if embedded.config != self.model.generator.config:
            return False
        self.model.generator.load_state_dict(embedded.state_dict())
        self.model.identity_to_w.load_state_dict(
            {name: tensor.float() for name, tensor in load_file(numbers).items()}
        )
        return True

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """The averaged weights of both networks; `mapping.py` makes the embedded file of them."""
        assert isinstance(averaged, GeneratorModel)
        averaged.generator.save(folder / "generator.safetensors", metadata)
        halved = {name: tensor.half() for name, tensor in averaged.identity_to_w.state_dict().items()}
        save_tensors(folder / IDENTITY_TO_W, halved, metadata)


def render_guided(
    generator: PanoHead, ws: Tensor, cameras: Tensor, truth: tuple[Tensor, Tensor], rng: torch.Generator
) -> Rendered:
    """Render with samples around the true depth of each ray.

    Args:
        generator: In training.
        ws: [K,num_ws,w_dim].
        cameras: [B,25].
        truth: Mask and distance [B,1,r,r].
        rng: Jitter of the samples.
    """
    resolution = generator.config.neural_rendering_resolution
    rays = camera_rays(cameras, resolution)
    depths = guided_depths(truth[0].flatten(1), truth[1].flatten(1), generator, rng)
    points = rays.origins[:, :, None] + depths[..., None] * rays.directions[:, :, None]
    grid = generator.prepare(generator.planes(ws, noise_mode="const"))
    sampled = generator.sample_points(grid, points.reshape(ws.shape[0], -1, 3))
    density = sampled.density.reshape(depths.shape)
    density = DensityEdits().apply(density, points, box_warp=generator.config.rendering.box_warp)
    marched = march([RaySamples(depths, density, sampled.features.reshape(*depths.shape, -1))])
    features, depth, weight_sum = (
        part.transpose(1, 2).unflatten(2, (resolution, resolution)) for part in marched
    )
    image_raw = generator.torgb(features, ws[:, -1])
    image_raw = image_raw * weight_sum + (1 - weight_sum)
    return Rendered(generator.superresolution(image_raw, features, ws), image_raw, weight_sum, depth)


def guided_depths(mask: Tensor, depth: Tensor, generator: PanoHead, rng: torch.Generator) -> Tensor:
    """Sorted depths [B,M,S]: mostly in a band around the true depth, all over the ray where there is none.

    Args:
        mask: [B,M], 0..1.
        depth: [B,M], true distance, 0 where the ray meets nothing.
        generator: Gives the limits of the rays.
        rng: Jitter.
    """
    rendering = generator.config.rendering
    near, far = float(rendering.ray_start), float(rendering.ray_end)
    total = _FREE + _NEAR + _BEHIND
    jitter = torch.rand(*depth.shape, total, generator=rng)
    everywhere = near + (torch.arange(total) + jitter) / total * (far - near)
    edges = torch.stack(
        [torch.full_like(depth, near), depth - _BAND, depth + _BAND, torch.full_like(depth, far)]
    )
    parts = []
    for first, last, count, offset in (
        (edges[0], edges[1], _FREE, 0),
        (edges[1], edges[2], _NEAR, _FREE),
        (edges[2], edges[3], _BEHIND, _FREE + _NEAR),
    ):
        step = (torch.arange(count) + jitter[..., offset : offset + count]) / count
        parts.append(first[..., None] + step * (last - first)[..., None])
    guided = torch.cat(parts, dim=-1)
    return torch.where((mask > 0)[..., None], guided, everywhere).clamp(near, far)


def _select(views: Views, rows: Tensor, columns: Tensor) -> Views:
    pick = (rows[:, None], columns)
    return Views(
        images=views.images[pick],
        masks=views.masks[pick],
        depths=views.depths[pick],
        cameras=views.cameras[pick],
        z=views.z[rows],
        numbers=views.numbers[rows],
        styles=(),
        identities=views.identities[rows],
    )


def _loss(rendered: Rendered, truth: Tensor, mask: Tensor, depth: Tensor) -> tuple[Tensor, dict[str, float]]:
    error = rendered.image - truth
    mse, absolute = error.square().mean(), error.abs().mean()
    raw_truth = functional.interpolate(truth, size=rendered.image_raw.shape[-1], mode="area")
    raw = functional.mse_loss(rendered.image_raw, raw_truth)
    outline = functional.binary_cross_entropy(rendered.weight_sum.clamp(1e-4, 1 - 1e-4), mask)
    covered = (mask > 0.9).float()
    distance = ((rendered.depth - depth).abs() * covered).sum() / covered.sum().clamp(min=1)
    edges = sum((error.diff(dim=axis) ** 2).mean() for axis in (2, 3))
    loss = mse + 0.3 * absolute + 0.5 * edges + 0.5 * raw + 0.2 * outline + 0.5 * distance
    psnr = -10 * torch.log10(mse.detach() / 4)
    values = {"psnr": psnr, "raw": raw, "outline": outline, "distance": distance}
    return loss, {name: float(value.detach()) for name, value in values.items()}
