"""The embedded generator, by direct regression: an identity in numbers -> its pictures from any side.

Nothing adversarial: the procedural world knows the true picture, mask and depth of every identity from every
camera. A small network maps the 128 numbers of an identity to w while the synthesis learns to draw; the
mapping from z is fitted to those w afterwards (`mapping.py`), which needs no picture at all.

Most steps draw only a part of each picture and sample rays where the truth is: depths come from the true
depth of the ray (less than half of the samples of the real renderer). Towards the end the renderer itself
draws whole pictures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from stylehead.files import save_tensors
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.layers import SynthesisLayer
from stylehead.generator.renderer import DensityEdits, RaySamples, camera_rays, march
from stylehead.mini.recipes.data import Views, facing, image_pm1, ray_depths

IDENTITY_TO_W = "identity_to_w.safetensors"
"""Beside the embedded generator, for going on with its training; nothing else reads it."""

_BAND = 0.07  # world units before and behind the true surface that most samples fall into
_FREE, _NEAR, _BEHIND = 3, 6, 1
_BORDER = 2  # raw pixels at the edge of a part that lack neighbours


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

    def within(self, border: int) -> "Rendered":
        """Without the outermost `border` raw pixels."""
        part = Part(border, border, self.depth.shape[-1] - 2 * border)
        raw = (part.cut(x) for x in (self.image_raw, self.weight_sum, self.depth))
        return Rendered(part.cut(self.image, _scale(self.image, self.depth)), *raw)


@dataclass(frozen=True)
class Truth:
    """What a render should be: image [B,3,R,R] in -1..1, mask and distance [B,1,r,r]."""

    image: Tensor
    mask: Tensor
    depth: Tensor

    def within(self, border: int) -> "Truth":
        """Without the outermost `border` raw pixels."""
        return Part(border, border, self.depth.shape[-1] - 2 * border).of(self)


class Part(NamedTuple):
    """A square of the raw picture: its upper left corner and its edge, in raw pixels."""

    top: int
    left: int
    size: int

    @classmethod
    def draw(cls, truth: Truth, rng: torch.Generator, *, share: float = 0.66) -> "Part":
        """A square at random; every fourth touches a side, for what is near to it is in no other."""
        edge = truth.depth.shape[-1]
        size = round(edge * share)
        at = (torch.rand(2, generator=rng) * 1.3 - 0.15).clamp(0, 1) * (edge - size)
        return cls(int(at[0].round()), int(at[1].round()), size)

    def cut(self, pictures: Tensor, scale: int = 1) -> Tensor:
        """This part of pictures [B,C,H,W] that have `scale` pixels for each raw one."""
        top, left, size = (scale * x for x in self)
        return pictures[..., top : top + size, left : left + size]

    def of(self, truth: Truth) -> Truth:
        """This part of the truth."""
        image = self.cut(truth.image, _scale(truth.image, truth.depth))
        return Truth(image, self.cut(truth.mask), self.cut(truth.depth))


def _scale(image: Tensor, raw: Tensor) -> int:
    return image.shape[-1] // raw.shape[-1]


def mostly_facing_columns(cameras: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Different views [N,count] of each person's cameras [N,V,25]; the first is preferably of the face."""
    shape = cameras.shape[:2]
    first = (facing(cameras) + torch.rand(shape, generator=rng)).argmax(dim=1, keepdim=True)
    return torch.rand(shape, generator=rng).scatter(1, first, 2.0).topk(count, dim=1).indices


class GeneratorRecipe:
    """See the module's text.

    Args:
        views: Photographic renders.
        identities: Identities in a step.
        views_each: Views of each identity in a step.
        renderer_from: Part of the stretch after which rays are sampled as the real renderer does.
    """

    name = "generator"
    learning_rate = 2.5e-3

    def __init__(
        self, views: Views, *, identities: int = 3, views_each: int = 2, renderer_from: float = 0.85
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
        generator = self.model.generator
        rows = torch.randint(len(self.views), (self.identities,), generator=rng)
        columns = mostly_facing_columns(self.views.cameras[rows], self.views_each, rng)
        batch = _select(self.views, rows, columns)
        mask, depth = ray_depths(batch, generator.config.neural_rendering_resolution)
        truth = Truth(
            image_pm1(batch.images).flatten(0, 1), *(x.flatten(0, 1)[:, None] for x in (mask, depth))
        )
        ws, cameras = self.model.ws(batch.numbers), batch.cameras.flatten(0, 1)
        if progress < self.renderer_from:
            part = Part.draw(truth, rng)
            rendered = render_guided(generator, ws, cameras, truth, part, rng)
            return _loss(rendered.within(_BORDER), part.of(truth).within(_BORDER))
        out = generator.synthesis(
            ws, cameras, background="white", deterministic=False, generator=rng, noise_mode="const"
        )
        mask = (out.mask + 0.001) / 1.002
        return _loss(Rendered(out.image, out.image_raw, mask, out.depth), truth)

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
    generator: PanoHead, ws: Tensor, cameras: Tensor, truth: Truth, part: Part, rng: torch.Generator
) -> Rendered:
    """Render a part of each picture with samples around the true depth of each ray.

    Args:
        generator: In training.
        ws: [K,num_ws,w_dim].
        cameras: [B,25].
        truth: Of the whole pictures.
        part: What to draw.
        rng: Jitter of the samples.
    """
    resolution = generator.config.neural_rendering_resolution
    places = part.cut(torch.arange(resolution**2).view(1, 1, resolution, resolution)).flatten()
    rays = camera_rays(cameras, resolution)
    mask, depth = (x.flatten(1)[:, places] for x in (truth.mask, truth.depth))
    depths = guided_depths(mask, depth, generator, rng)
    points = rays.origins[:, places, None] + depths[..., None] * rays.directions[:, places, None]
    grid = generator.prepare(generator.planes(ws, noise_mode="const"))
    sampled = generator.sample_points(grid, points.reshape(ws.shape[0], -1, 3))
    density = sampled.density.reshape(depths.shape)
    density = DensityEdits().apply(density, points, generator.config.rendering)
    marched = march([RaySamples(depths, density, sampled.features.reshape(*depths.shape, -1))])
    features, depth, weight_sum = (x.transpose(1, 2).unflatten(2, (part.size, part.size)) for x in marched)
    image_raw = generator.torgb(features, ws[:, -1])
    image_raw = image_raw * weight_sum + (1 - weight_sum)
    image = generator.superresolution.upscale(image_raw, features, ws)
    return Rendered(image, image_raw, weight_sum, depth)


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


def _loss(rendered: Rendered, truth: Truth) -> tuple[Tensor, dict[str, float]]:
    error = rendered.image - truth.image
    mse = error.square().mean()
    wanted = functional.interpolate(truth.image, size=rendered.image_raw.shape[-1], mode="area")
    error_raw = rendered.image_raw - wanted
    raw = error_raw.square().mean()
    outline = functional.binary_cross_entropy(rendered.weight_sum.clamp(1e-4, 1 - 1e-4), truth.mask)
    covered = (truth.mask > 0.9).float()
    distance = ((rendered.depth - truth.depth).abs() * covered).sum() / covered.sum().clamp(min=1)
    picture = mse + 0.3 * error.abs().mean() + 0.3 * detail(error)
    loss = picture + 0.5 * (raw + 0.3 * detail(error_raw)) + 0.2 * outline + 0.5 * distance
    psnr = -10 * torch.log10(mse.detach() / 4)
    values = {"psnr": psnr, "raw": raw, "outline": outline, "distance": distance}
    return loss, {name: float(value.detach()) for name, value in values.items()}


def detail(error: Tensor, *, levels: int = 3) -> Tensor:
    """Mean absolute value of what each halving of the resolution loses of an error [B,C,H,W].

    Eyes and mouths are a few pixels: in a squared error they are worth less than a shade of the forehead.
    """
    total = error.new_zeros(())
    for _ in range(levels):
        if error.shape[-1] < 2:
            break
        coarse = functional.avg_pool2d(error, 2)
        back = functional.interpolate(coarse, size=error.shape[-2:], mode="bilinear", align_corners=False)
        total = total + (error - back).abs().mean()
        error = coarse
    return total
