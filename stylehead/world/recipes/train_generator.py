"""The embedded generator, by direct regression: an identity in numbers -> its pictures from any side.

Nothing adversarial: the procedural world knows the true picture, mask and depth of every identity from every
camera. A small network maps the 128 numbers of an identity to w while the synthesis learns to draw; the
mapping from z is fitted to those w afterwards (`mapping.py`), which needs no picture at all.

Most steps draw only a square of each picture, of a few people from many sides: the tri-grid of a person costs
as much as its views do. Half of the people are truncated, see `people.py`. Rays are sampled as in every other
render. Depths that knew the truth were cheaper, but what they leave in the air in front of a face is seen by
nobody then, and by everybody later (1.2 dB).
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.files import save_tensors
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.checkpoint import read_config, save_generator
from stylehead.generator.field import Decoder, HeadField
from stylehead.generator.layers import SynthesisLayer
from stylehead.generator.renderer import (
    DepthDraws,
    Rays,
    as_images,
    camera_rays,
    render_rays,
)
from stylehead.images import bytes_to_pm1
from stylehead.inversion.identity_to_w import IDENTITY_TO_W, IdentityToW
from stylehead.methods.losses import detail_loss
from stylehead.world.recipes.computing import device_of, in_bfloat16, rng_on
from stylehead.world.recipes.crops import Crops
from stylehead.world.recipes.data import Renders, ray_depths
from stylehead.world.recipes.people import People, mostly_facing_columns, undecided

_BORDER = 2  # raw pixels at the edge of a crop that lack neighbours


class GeneratorModel(nn.Module):
    """The generator and the network that feeds it."""

    def __init__(self, config: GeneratorConfig, numbers: Tensor) -> None:
        super().__init__()
        self.generator = PanoHead(config)
        learn_noise(self.generator)
        self.identity_to_w = IdentityToW(numbers, w_dim=config.w_dim)

    def ws(self, numbers: Tensor, truncation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Numbers [K, 128] to [K, num_ws, w_dim].

        Args:
            numbers: Identities.
            truncation: How near each stays to itself [K], and the numbers [N, 128] of people whose mean w it
                is drawn to; as in the generator's mapping.
        """
        w = self.identity_to_w(numbers)
        if truncation is not None:
            psi, crowd = truncation
            with torch.no_grad():
                mean = self.identity_to_w(crowd).mean(dim=0)
            w = mean.lerp(w, psi[:, None])
        return w[:, None].expand(-1, self.generator.num_ws, -1)


def config_in(folder: Path) -> GeneratorConfig:
    """The architecture of the generator in a folder of weights; the embedded one's where there is none."""
    path = folder / "generator.safetensors"
    return read_config(path) if path.is_file() else GeneratorConfig.mini()


def learn_noise(generator: PanoHead) -> None:
    """Train the constant noise of the backbone: one map a layer, which encodes where things are.

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
class Prediction:
    """One training render: image [B, 3, R, R], image_raw [B, 3, r, r], weight_sum and depth [B, 1, r, r]."""

    image: Tensor
    image_raw: Tensor
    weight_sum: Tensor
    depth: Tensor

    def within(self, border: int) -> "Prediction":
        """Without the outermost `border` raw pixels."""
        raw = (_inner(x, border) for x in (self.image_raw, self.weight_sum, self.depth))
        return Prediction(_inner(self.image, border * _scale(self.image, self.depth)), *raw)


@dataclass(frozen=True)
class Truth:
    """What a render should be: image [B, 3, R, R] in -1..1, mask and distance [B, 1, r, r]."""

    image: Tensor
    mask: Tensor
    depth: Tensor

    def within(self, border: int) -> "Truth":
        """Without the outermost `border` raw pixels."""
        image = _inner(self.image, border * _scale(self.image, self.depth))
        return Truth(image, _inner(self.mask, border), _inner(self.depth, border))

    def cropped(self, crops: Crops) -> "Truth":
        """One square of each picture."""
        image = crops.cut(self.image, _scale(self.image, self.depth))
        return Truth(image, crops.cut(self.mask), crops.cut(self.depth))


def _scale(image: Tensor, raw: Tensor) -> int:
    return image.shape[-1] // raw.shape[-1]


def _inner(pictures: Tensor, border: int) -> Tensor:
    inner = slice(border, pictures.shape[-1] - border)
    return pictures[..., inner, inner]


class GeneratorRecipe:
    """See the module's text.

    Args:
        people: Whom to draw.
        config: Of the generator; the embedded one's by default.
        identities: Identities in a step; by default 4 on a CPU, and up to 48 on a graphics card.
        views_each: Renders of each identity in a step.
        crop: Edge of what a step draws of a view, as a part of the picture's.
        whole: Part of the steps that draw whole pictures instead, of a quarter of the identities: what is
            near to the sides is in no crop, for the edges of a crop lack neighbours.
    """

    name = "generator"
    learning_rate = 1.5e-3

    def __init__(
        self,
        people: People,
        config: GeneratorConfig | None = None,
        *,
        identities: int | None = None,
        views_each: int = 6,
        crop: float = 0.5,
        whole: float = 0.15,
    ) -> None:
        self.people = people
        self.identities = identities
        self.views_each = views_each
        self.crop = crop
        self.whole = whole
        torch.manual_seed(0)
        self.crowd = people.numbers
        self.model = GeneratorModel(config or GeneratorConfig.mini(), self.crowd)

    def parameters(self) -> list[dict[str, object]]:
        """Everything but the two mappings from z."""
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
        whole = float(torch.rand((), generator=rng)) < self.whole
        identities = self.identities or identities_on(device_of(self.model))
        batch, truth = self._draw(max(1, identities // 4) if whole else identities, rng)
        edge = truth.depth.shape[-1]
        size = edge if whole else max(4 * _BORDER, round(self.crop * edge))
        crops = Crops.draw(truth.image, edge, size, rng)
        ws, cameras = self._ws(batch, rng), batch.cameras.flatten(0, 1)
        rendered = render_crops(self.model.generator, ws, cameras, crops, rng)
        border = 0 if whole else _BORDER
        return _loss(rendered.within(border), truth.cropped(crops).within(border))

    def _ws(self, batch: Renders, rng: torch.Generator) -> Tensor:
        """Style vectors [K, num_ws, w_dim] of people, as truncated as drawn, some not quite decided."""
        self.crowd = self.crowd.to(batch.numbers.device)
        numbers = undecided(batch.numbers, self.crowd, rng)
        return self.model.ws(numbers, None if batch.psi is None else (batch.psi, self.crowd))

    def _draw(self, identities: int, rng: torch.Generator) -> tuple[Renders, Truth]:
        batch = self.people.draw(identities, rng)
        batch = batch.columns(mostly_facing_columns(batch.cameras, self.views_each, rng))
        batch = batch.to(device_of(self.model))
        raw = ray_depths(batch, self.model.generator.config.neural_rendering_resolution)
        mask, depth = (x.flatten(0, 1)[:, None] for x in raw)
        return batch, Truth(bytes_to_pm1(batch.images).flatten(0, 1), mask, depth)

    def warm_start(self, folder: Path) -> bool:
        """Both networks, from the embedded files."""
        assert isinstance(self.model, GeneratorModel)
        drawn, numbers = folder / "generator.safetensors", folder / IDENTITY_TO_W
        if not (drawn.is_file() and numbers.is_file()):
            return False
        embedded = PanoHead.load(drawn)
        if not load_grown(self.model.generator, embedded):
            return False
        self.model.identity_to_w.load_state_dict(IdentityToW.load(numbers).state_dict())
        return True

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """The averaged weights of both networks; `mapping.py` makes the embedded file of them."""
        assert isinstance(averaged, GeneratorModel)
        save_halved(averaged.generator, folder / "generator.safetensors", metadata)
        halved = {name: tensor.half() for name, tensor in averaged.identity_to_w.state_dict().items()}
        save_tensors(folder / IDENTITY_TO_W, {name: t.cpu() for name, t in halved.items()}, metadata)


def load_grown(generator: PanoHead, embedded: PanoHead) -> bool:
    """Take the weights of a generator, of half as many cells where need be.

    A block for finer cells adds nothing at first: the tri-grid is then the coarser one, enlarged.

    Returns:
        Whether the two are alike enough.
    """
    wanted, rendering = generator.config, embedded.config.rendering
    alike = replace(rendering, triplane_size=wanted.rendering.triplane_size)
    if replace(embedded.config, rendering=alike) != wanted:
        return False
    missing, unexpected = generator.load_state_dict(embedded.state_dict(), strict=False)
    assert not unexpected
    for name in missing:
        if name.endswith((".torgb.weight", ".torgb.bias")):
            nn.init.zeros_(generator.get_parameter(name))
    return True


WRITTEN_CHOICES = "backbone.mapping.fc1."
"""The layer of a written mapping whose steps decide; in half precision it decides otherwise at times."""


def save_halved(generator: PanoHead, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a generator in half precision, but for the layer of the mapping that chooses.

    Rounding that layer costs 0.4 % of the variance of the styles, rounding all others a hundredth of that.
    """
    state = {
        name: tensor.half() if tensor.is_floating_point() and not name.startswith(WRITTEN_CHOICES) else tensor
        for name, tensor in generator.state_dict().items()
    }
    save_generator(path, state, generator.config, metadata)


def identities_on(device: torch.device) -> int:
    """How many people a step takes: as many as fit, and no more than learning profits from."""
    if device.type != "cuda":
        return 4
    return max(4, min(48, torch.cuda.get_device_properties(device).total_memory // 2**29))


def render_crops(
    generator: PanoHead, ws: Tensor, cameras: Tensor, crops: Crops, rng: torch.Generator
) -> Prediction:
    """Render one square of each picture, on white.

    Args:
        generator: In training.
        ws: [K, num_ws, w_dim].
        cameras: [B, 25], B a multiple of K.
        crops: What to draw.
        rng: Jitter of the samples.
    """
    rendering = generator.config.rendering
    resolution = generator.config.neural_rendering_resolution
    numbered = torch.arange(resolution**2, device=ws.device).view(1, 1, resolution, resolution)
    places = crops.cut(numbered).flatten(1)
    rays = Rays(*(x.take_along_dim(places[..., None], dim=1) for x in camera_rays(cameras, resolution)))
    with in_bfloat16(ws.device):
        planes = generator.planes(ws, noise_mode="const")
    grid = generator.prepare(planes.float())
    field = HeadField(grid, functools.partial(_decoded, generator.decoder), rendering.box_warp)
    draws = DepthDraws.make(rays, rendering, deterministic=False, rng=rng_on(ws.device, rng))
    features, depth, weight_sum = as_images(render_rays(field, rays, rendering, draws=draws), crops.size)
    image_raw = generator.torgb(features, ws[:, -1])
    image_raw = image_raw * weight_sum + (1 - weight_sum)
    image = generator.superresolution.upscale(image_raw, features, ws)
    return Prediction(image, image_raw, weight_sum, depth)


def _decoded(decoder: Decoder, sampled: Tensor) -> tuple[Tensor, Tensor]:
    """Densities and features in bfloat16: pictures change by 60 dB, far less than there is to learn."""
    with in_bfloat16(sampled.device):
        density, features = decoder(sampled)
    return density.float(), features.float()


def _loss(rendered: Prediction, truth: Truth) -> tuple[Tensor, dict[str, float]]:
    error = rendered.image - truth.image
    mse = error.square().mean()
    wanted = functional.interpolate(truth.image, size=rendered.image_raw.shape[-1], mode="area")
    error_raw = rendered.image_raw - wanted
    raw = error_raw.square().mean()
    outline = functional.binary_cross_entropy(rendered.weight_sum.clamp(1e-4, 1 - 1e-4), truth.mask)
    covered = (truth.mask > 0.9).float()
    distance = ((rendered.depth - truth.depth).abs() * covered).sum() / covered.sum().clamp(min=1)
    picture = mse + 0.3 * error.abs().mean() + 0.3 * detail_loss(error)
    loss = picture + 0.5 * (raw + 0.3 * detail_loss(error_raw)) + 0.2 * outline + 0.5 * distance
    psnr = -10 * torch.log10(mse.detach() / 4)
    values = {"psnr": psnr, "raw": raw, "outline": outline, "distance": distance}
    return loss, {name: float(value.detach()) for name, value in values.items()}
