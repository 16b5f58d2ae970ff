"""The parts of a full-scale iteration, each alone, with weights that are random but of the published sizes.

How often each runs in an iteration, ours at the published settings and the published script's, stands beside
it, so that parts that were timed one by one add up to iterations that nobody has the machine for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stylehead.architecture import GeneratorConfig
from stylehead.generator import PanoHead, trainable_parameters
from stylehead.geometry import turntable
from stylehead.perception.depth import DepthEstimator
from stylehead.precision import choose_dtype, computing_in, halves
from stylehead.teacher import Autoencoder
from stylehead.teacher.shapes import STABLE_DIFFUSION_15, depth_skeleton, skeleton


class Times(NamedTuple):
    """How often a part runs in an iteration."""

    forward: int
    backward: int = 0


class Work(NamedTuple):
    """A part that is ready: what it computes, and of what a gradient is wanted; nothing: no backward pass."""

    forward: Callable[[], Tensor]
    wanted: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Sizes:
    """Of the networks.

    Attributes:
        generator: Of the generator.
        teacher: Configurations of its networks, by role.
        depth: Edge in pixels of what the depth network sees.
    """

    generator: GeneratorConfig
    teacher: Mapping[str, Mapping[str, Any]]
    depth: int = 518

    @classmethod
    def published(cls) -> "Sizes":
        """Return those of PanoHead and Stable Diffusion 1.5."""
        return cls(GeneratorConfig.full(), STABLE_DIFFUSION_15)

    @classmethod
    def toy(cls) -> "Sizes":
        """Return those that a test can afford."""
        widths = {"block_out_channels": (32, 32, 32, 32), "norm_num_groups": 8}
        denoiser = {"cross_attention_dim": 16, "attention_head_dim": 4, **widths}
        vae = {**STABLE_DIFFUSION_15["vae"], **widths, "sample_size": 64}
        control = {**denoiser, "conditioning_embedding_out_channels": (8, 8, 16, 16)}
        text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        teacher = {"unet": {**denoiser, "sample_size": 8}, "vae": vae, "text_encoder": text}
        teacher |= {"controlnet_canny": control, "controlnet_depth": control}
        return cls(GeneratorConfig.tiny(), teacher, depth=28)


class Builder:
    """Builds parts on a device.

    Args:
        sizes: Of the networks.
        device: Where; on `meta` they have shapes alone.
        precision: `auto`, `fp32`, `fp16` or `bf16`.
    """

    def __init__(self, sizes: Sizes, device: torch.device, precision: str = "auto") -> None:
        self.sizes, self.device = sizes, device
        self.dtype = choose_dtype(precision, str(device))

    def backbone(self) -> Work:
        """Return the tri-grid of one head."""
        return self._backbone(self.dtype)

    def single_backbone(self) -> Work:
        """Return the same in single precision, as the script computes it."""
        return self._backbone(torch.float32)

    def _backbone(self, dtype: torch.dtype) -> Work:
        generator = self._generator()
        ws = self._ws(generator)
        wanted = [p for name, p in trainable_parameters(generator) if name.startswith("backbone")]
        return Work(_within(dtype, generator, lambda: generator.planes(ws)), wanted)

    def rays(self) -> Work:
        """Return one view before super-resolution."""
        generator = self._generator()
        planes = self._random(1, generator.config.plane_channels, *2 * (_triplane(generator),))
        ws, label = self._ws(generator), turntable(1).to(self.device)
        return Work(lambda: generator.render_raw(planes, ws, label).features, [planes])

    def superresolution(self) -> Work:
        """Return one view's picture."""
        generator = self._generator()
        size, ws = generator.config.neural_rendering_resolution, self._ws(generator)
        rgb, features = self._random(1, 3, size, size), self._random(1, 32, size, size)
        weights = [p for name, p in trainable_parameters(generator) if name.startswith("superresolution")]
        upscale = _within(self.dtype, generator, lambda: generator.superresolution(rgb, features, ws))
        return Work(upscale, [rgb, features, *weights])

    def encoder(self) -> Work:
        """Return the latents of one picture."""
        autoencoder = Autoencoder(self._network("vae"))
        picture = self._random(1, 3, *2 * (self._image(autoencoder),))
        return Work(lambda: autoencoder.encode(picture), [picture])

    def decoder(self) -> Work:
        """Return the picture of one latent."""
        autoencoder = Autoencoder(self._network("vae"))
        latents = self._latents()
        return Work(lambda: autoencoder.decode(latents))

    def denoiser(self) -> Work:
        """Return the noise predicted in one latent under one condition, by a ControlNet and the UNet."""
        unet, control = self._network("unet"), self._network("controlnet_canny")
        latents = self._latents().to(self.dtype)
        text = self._random(1, 77, int(unet.config.cross_attention_dim)).to(self.dtype)
        picture = self._random(1, 3, *2 * (8 * latents.shape[-1],)).to(self.dtype)
        timestep = torch.ones(1, dtype=torch.int64, device=self.device)

        def predict() -> Tensor:
            down, mid = control(latents, timestep, text, picture, return_dict=False)
            eps: Tensor = unet(
                latents, timestep, text,
                down_block_additional_residuals=down, mid_block_additional_residual=mid, return_dict=False,
            )[0]  # fmt: skip
            return eps

        return Work(predict)

    def depth(self) -> Work:
        """Return the depth of one picture, by the small network."""
        return self._depth(base=False)

    def depth_base(self) -> Work:
        """Return the depth of one picture, by the network that the script asks."""
        return self._depth(base=True)

    # -------------------------------------------------------------------------------------------- networks

    def _depth(self, *, base: bool) -> Work:
        network = self.filled(depth_skeleton(base=base), self.dtype)
        estimator = DepthEstimator(network, size=self.sizes.depth)
        picture = self._random(1, 3, *2 * (self.sizes.generator.img_resolution,))
        return Work(lambda: estimator(picture))

    def _generator(self) -> PanoHead:
        with torch.device(self.device):
            generator = PanoHead(self.sizes.generator).eval().requires_grad_(False)
        generator.sample_method = "gather" if self.device.type == "cpu" else "grid_sample"
        for _, parameter in trainable_parameters(generator):
            parameter.requires_grad_(True)
        return generator

    def _network(self, role: str) -> Any:
        with torch.device("meta"):
            network = skeleton(role, self.sizes.teacher[role])
        return self.filled(network, self.dtype)

    def filled(self, network: Any, dtype: torch.dtype) -> Any:
        """Put a network without numbers onto the device, with random ones that keep signals at their size."""
        nn.Module.to(network, dtype)
        if self.device.type == "meta":
            return network
        network.to_empty(device=self.device)
        table = torch.randn(2**20, generator=torch.Generator().manual_seed(0)).to(self.device)
        with torch.no_grad():
            for name, tensor in (*network.named_parameters(), *network.named_buffers()):
                _fill(name, tensor, table)
        return network

    # --------------------------------------------------------------------------------------------- inputs

    def _random(self, *shape: int) -> Tensor:
        drawn = torch.randn(shape, device=self.device) * 0.5
        return drawn.requires_grad_()

    def _ws(self, generator: PanoHead) -> Tensor:
        return torch.randn(1, generator.num_ws, generator.config.w_dim, device=self.device)

    def _latents(self) -> Tensor:
        size = int(self.sizes.teacher["unet"]["sample_size"])
        return torch.randn(1, 4, size, size, device=self.device)

    def _image(self, autoencoder: Autoencoder) -> int:
        return int(self.sizes.teacher["unet"]["sample_size"]) * autoencoder.downscale


class Part(NamedTuple):
    """A part of an iteration, and how often it runs in ours and in the script's."""

    build: Callable[[Builder], Work]
    ours: Times
    script: Times

    @property
    def learns(self) -> bool:
        """Whether gradients go through it."""
        return max(self.ours.backward, self.script.backward) > 0


PARTS = {
    "backbone": Part(Builder.backbone, Times(2, 1), Times(0)),
    "backbone, single": Part(Builder.single_backbone, Times(0), Times(16, 6)),
    "rays": Part(Builder.rays, Times(11, 6), Times(16, 6)),
    "super-resolution": Part(Builder.superresolution, Times(7, 2), Times(16, 2)),
    "autoencoder, encoding": Part(Builder.encoder, Times(3, 3), Times(3, 3)),
    "autoencoder, decoding": Part(Builder.decoder, Times(1), Times(2)),
    "UNet and ControlNet": Part(Builder.denoiser, Times(4), Times(4)),
    "depth, small": Part(Builder.depth, Times(4), Times(0)),
    "depth, base": Part(Builder.depth_base, Times(0), Times(4)),
}
"""By name. Ours: `--profile paper`."""


def _within(dtype: torch.dtype, generator: PanoHead, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Let something run while a generator computes in other numbers."""

    def within() -> Tensor:
        with computing_in(dtype, *halves(generator)):
            return run()

    return within


def _fill(name: str, tensor: Tensor, table: Tensor) -> None:
    """Fill a tensor: norms with ones, biases with zeros, else normal numbers scaled by the fan-in."""
    if not tensor.is_floating_point():
        tensor.zero_()
    elif tensor.ndim < 2:
        tensor.fill_(1.0 if name.endswith("weight") or "lambda" in name else 0.0)
    else:
        flat, scale = tensor.view(-1), tensor[0].numel() ** -0.5
        for part in flat.split(len(table)):
            part.copy_(table[: len(part)] * scale)


def _triplane(generator: PanoHead) -> int:
    return int(generator.config.rendering.triplane_size)
