"""The generator: from a random vector or style vectors to pictures of a head from any side."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stylehead.architecture import DECODER_FEATURES, UNUSED_TENSOR, GeneratorConfig
from stylehead.errors import UsageError
from stylehead.generator import checkpoint
from stylehead.generator.backbone import Backbone, MappingNetwork, background_network
from stylehead.generator.field import Decoder, HeadField
from stylehead.generator.latent_mapper import LatentMapper
from stylehead.generator.layers import NoiseMode, ToRGB
from stylehead.generator.outputs import (
    Background,
    PointSamples,
    RawOutput,
    RenderOptions,
    RenderOutput,
)
from stylehead.generator.renderer import (
    DepthDraws,
    as_images,
    camera_rays,
    render_rays,
    render_rays_one_by_one,
)
from stylehead.generator.superresolution import SuperResolution
from stylehead.generator.trigrid import SampleMethod, TriGrid
from stylehead.images import resize


class PanoHead(nn.Module):
    """Style-based tri-grid generator of full heads; parameter names are those of the published checkpoint.

    Args:
        config: Sizes and options.
    """

    sample_method: SampleMethod = "auto"
    """How tri-grids are sampled; both ways give the same numbers."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.num_ws = config.num_ws
        """How many style vectors `planes` takes."""
        self.unstyled: dict[str, Tensor] = {}  # weights under the styles laid over them, see `style`
        self.latent_edits: tuple[tuple[LatentMapper, float], ...] = ()  # styles that move heads, and shares
        self._fingerprint: tuple[object, str] | None = None
        rendering = config.rendering
        self.backbone = Backbone(config)
        self.superresolution = SuperResolution(
            config.superresolution,
            w_dim=config.w_dim,
            img_channels=config.img_channels,
            antialias=rendering.sr_antialias,
        )
        self.decoder = Decoder(lr_mul=rendering.decoder_lr_mul, activation=rendering.decoder_activation)
        if rendering.use_torgb_raw:
            self.torgb = ToRGB(DECODER_FEATURES, config.img_channels, w_dim=config.w_dim)
        if rendering.use_background:
            self.bcg_synthesis = background_network(config)
        self.t_mapping = MappingNetwork(
            config.z_dim,
            c_dim=config.c_dim,
            w_dim=3,
            num_ws=1,
            num_layers=config.camera_mapping_num_layers,
            lr_mul=1.0,
            linear_end=True,
        )
        last = f"fc{config.camera_mapping_num_layers - 1}.weight"
        nn.init.zeros_(self.t_mapping.get_parameter(last))  # a fresh network leaves cameras in place
        self.register_load_state_dict_pre_hook(_before_loading)

    def mapping(
        self,
        z: Tensor,
        camera_label: Tensor,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Map random vectors to style vectors.

        Args:
            z: [B, z_dim], normally from a standard normal distribution.
            camera_label: Conditioning cameras [B, 25] or [1, 25].
            truncation_psi: Pull towards the mean; 1 leaves the vectors alone, 0 gives the mean head.
            truncation_cutoff: How many of the vectors are pulled; None means all.

        Returns:
            ws [B, num_ws, w_dim].
        """
        return self.backbone.mapping(
            z,
            self._conditioning(z, camera_label),
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
        )

    def offset_camera(
        self,
        z: Tensor,
        camera_label: Tensor,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Move cameras [B, 25] by the translation that the network learned for z [B, z_dim]."""
        label = self._conditioning(z, camera_label)
        ws = self.t_mapping(z, label, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        offset = torch.zeros_like(camera_label.expand(z.shape[0], -1))
        offset[:, 3:12:4] = ws[:, 0]
        return camera_label + offset

    def planes(
        self,
        ws: Tensor,
        *,
        noise_mode: NoiseMode = "const",
        rng: torch.Generator | None = None,
        recompute: bool = False,
    ) -> Tensor:
        """Compute the tri-grid of K identities, once for all their views.

        Args:
            ws: [K, num_ws, w_dim].
            noise_mode: Noise of the backbone.
            rng: Source of random noise.
            recompute: Run the blocks again in the backward pass: the same gradients in less memory.

        Returns:
            [K, 96 D, S, S]; channel = stack (32 D) + feature D + slice.
        """
        if ws.shape[1] < self.num_ws:
            raise UsageError(f"The generator takes {self.num_ws} style vectors, not {ws.shape[1]}.")
        ws = self.edited(ws)
        return self.backbone.synthesis(ws, noise_mode=noise_mode, rng=rng, recompute=recompute)

    def edited(self, ws: Tensor) -> Tensor:
        """Move style vectors [K, num_ws, w_dim] as the applied styles that move heads do; others change none.

        All methods that take `ws` do this themselves; `superresolution`, called alone, does not.
        """
        moves = [share * mapper(ws) for mapper, share in self.latent_edits]
        return ws + torch.stack(moves).sum(dim=0) if moves else ws

    def prepare(self, planes: Tensor) -> TriGrid:
        """Arrange planes for sampling, worth keeping over several renders of the same planes."""
        depth = self.config.rendering.triplane_depth
        return TriGrid.prepare(planes, depth=depth, method=self.sample_method)

    def render(
        self,
        planes: Tensor | TriGrid,
        ws: Tensor,
        camera_label: Tensor,
        *,
        background: Background = False,
        noise_mode: NoiseMode = "const",
        deterministic: bool = True,
        rng: torch.Generator | None = None,
        options: RenderOptions | None = None,
    ) -> RenderOutput:
        """Render K identities under B = K V cameras, V views each, identity by identity.

        Args:
            planes: [K, 96 D, S, S] from `planes`, or those prepared.
            ws: [K, num_ws, w_dim] (or repeated for every view).
            camera_label: [B, 25].
            background: True adds the background network's features behind the head; "white" puts the raw
                picture on white; False adds nothing.
            noise_mode: Noise of the background network.
            deterministic: No jitter and evenly spread importance samples; otherwise random depths.
            rng: Source of randomness, on the planes' device.
            options: Further switches.
        """
        options = options or RenderOptions()
        raw = self.render_raw(
            planes,
            ws,
            camera_label,
            background=background,
            noise_mode=noise_mode,
            deterministic=deterministic,
            rng=rng,
            options=options,
        )
        image = self.superresolution(
            raw.image_raw,
            raw.features,
            self.edited(ws),
            noise_mode=self.config.rendering.superresolution_noise_mode,
            rng=rng,
            one_view=options.one_view,
        )
        mask = raw.weight_sum if options.raw_mask else raw.weight_sum * 1.002 - 0.001
        return RenderOutput(image, raw.image_raw, raw.depth, mask)

    def render_raw(
        self,
        planes: Tensor | TriGrid,
        ws: Tensor,
        camera_label: Tensor,
        *,
        background: Background = False,
        noise_mode: NoiseMode = "const",
        deterministic: bool = True,
        rng: torch.Generator | None = None,
        options: RenderOptions | None = None,
    ) -> RawOutput:
        """Render without super-resolution; arguments as in `render`."""
        options, ws = options or RenderOptions(), self.edited(ws)
        rendering = self.config.rendering
        grid = planes if isinstance(planes, TriGrid) else self.prepare(planes)
        _check_batch(grid.planes.shape[0], ws, camera_label)
        resolution = options.resolution or self.config.neural_rendering_resolution
        rays = camera_rays(camera_label, resolution)
        density_noise = 0.0 if deterministic else rendering.density_noise
        march: dict[str, Any] = {
            "draws": options.draws or DepthDraws.make(rays, rendering, deterministic, rng),
            "edits": options.edits,
            "empty_depth": options.empty_depth,
        }
        if options.one_view and density_noise == 0:
            views = len(rays.origins) // len(grid.planes)
            fields = [self._field(grid.identity(k)) for k in range(len(grid.planes)) for _ in range(views)]
            marched = render_rays_one_by_one(fields, rays, rendering, **march)
        else:
            field = self._field(grid, density_noise, rng)
            marched = render_rays(field, rays, rendering, **march)
        features, depth, weight_sum = as_images(marched, resolution)
        if rendering.decoder_activation == "sigmoid":
            features = features * 2 - 1
        if background is True:
            ws_background = ws if options.ws_background is None else options.ws_background
            behind = self._background(ws_background, resolution, noise_mode, rng)
            behind = behind.repeat_interleave(features.shape[0] // behind.shape[0], dim=0)
            features = features + (1 - weight_sum) * behind
        image_raw = self.torgb(features, ws[:, -1]) if rendering.use_torgb_raw else features[:, :3]
        if background == "white":
            image_raw = image_raw * weight_sum + (1 - weight_sum)
        return RawOutput(features, image_raw, depth, weight_sum)

    def synthesis(
        self,
        ws: Tensor,
        camera_label: Tensor,
        *,
        background: Background = False,
        noise_mode: NoiseMode = "const",
        deterministic: bool = True,
        rng: torch.Generator | None = None,
        options: RenderOptions | None = None,
    ) -> RenderOutput:
        """Compute the tri-grid and render it: `planes` and `render` in one."""
        return self.render(
            self.planes(ws, noise_mode=noise_mode, rng=rng),
            ws,
            camera_label,
            background=background,
            noise_mode=noise_mode,
            deterministic=deterministic,
            rng=rng,
            options=options,
        )

    def forward(
        self,
        z: Tensor,
        camera_label: Tensor,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        background: Background | None = None,
        noise_mode: NoiseMode = "const",
        deterministic: bool = True,
        rng: torch.Generator | None = None,
    ) -> RenderOutput:
        """Make one picture of each z, through the learned camera offset.

        Args:
            z: [B, z_dim].
            camera_label: [B, 25], both the conditioning and (after the offset) the rendering camera.
            truncation_psi: See `mapping`.
            truncation_cutoff: See `mapping`.
            background: See `render`; None means True when the network has a background.
            noise_mode: Noise of backbone and background.
            deterministic: See `render`.
            rng: Source of randomness.
        """
        truncation: dict[str, Any] = {
            "truncation_psi": truncation_psi,
            "truncation_cutoff": truncation_cutoff,
        }
        return self.synthesis(
            self.mapping(z, camera_label, **truncation),
            self.offset_camera(z, camera_label, **truncation),
            background=self.config.rendering.use_background if background is None else background,
            noise_mode=noise_mode,
            deterministic=deterministic,
            rng=rng,
        )

    def sample_points(self, planes: Tensor | TriGrid, points: Tensor) -> PointSamples:
        """Read the field at world points [K, P, 3], for meshes; the renderer's crop is not applied."""
        grid = planes if isinstance(planes, TriGrid) else self.prepare(planes)
        density, features = self._field(grid).at(points)
        return PointSamples(density[..., None], features)

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        """Write weights and configuration to a safetensors file, atomically.

        Args:
            path: File to write.
            metadata: Further header entries, all strings.
        """
        checkpoint.save_generator(path, self.state_dict(), self.config, metadata or {})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: str | torch.device = "cpu",
        *,
        config: GeneratorConfig | None = None,
    ) -> "PanoHead":
        """Read a file written by `save`, in evaluation mode and single precision.

        Args:
            path: A safetensors file.
            device: Where the weights go.
            config: Needed only for a file whose header holds no configuration.

        Raises:
            StyleheadError: The file is missing, damaged, or does not hold this network; says which key.
        """
        config, state = checkpoint.load_generator(path, config)
        with torch.device("meta"):
            generator = cls(config)
        checkpoint.check_state(path, state, generator.state_dict())
        generator.load_state_dict(state, assign=True)
        return generator.to(device).eval()

    def fingerprint(self) -> str:
        """sha256 over names, shapes, types and bytes of the weights, however the file was written."""
        state = self.state_dict()
        versions = tuple((tensor.data_ptr(), tensor._version) for tensor in state.values())
        if self._fingerprint is None or self._fingerprint[0] != versions:
            self._fingerprint = (versions, checkpoint.fingerprint(state))
        return self._fingerprint[1]

    def _conditioning(self, z: Tensor, camera_label: Tensor) -> Tensor:
        camera_label = camera_label.expand(z.shape[0], -1)
        if self.config.rendering.c_gen_conditioning_zero:
            return torch.zeros_like(camera_label)
        return camera_label * self.config.rendering.c_scale

    def _field(
        self, grid: TriGrid, density_noise: float = 0.0, rng: torch.Generator | None = None
    ) -> HeadField:
        return HeadField(grid, self.decoder, self.config.rendering.box_warp, density_noise, rng)

    def _background(
        self, ws: Tensor, resolution: int, noise_mode: NoiseMode, rng: torch.Generator | None
    ) -> Tensor:
        if not self.config.rendering.use_background:
            raise UsageError("This generator has no background network; render without a background.")
        missing = self.config.num_ws_background - ws.shape[1]
        if missing > 0:
            ws = torch.cat([ws, ws[:, -1:].expand(-1, missing, -1)], dim=1)
        image = self.bcg_synthesis(ws, noise_mode=noise_mode, rng=rng)
        return resize(image, resolution, antialias=self.config.rendering.sr_antialias)


def _check_batch(identities: int, ws: Tensor, camera_label: Tensor) -> None:
    views = camera_label.shape[0]
    if views % identities or views % ws.shape[0]:
        raise UsageError(
            f"{views} cameras cannot be shared evenly by {identities} tri-grids and {len(ws)} rows of ws."
        )


def _before_loading(generator: PanoHead, state: dict[str, Tensor], *_: object) -> None:
    """Forget applied styles, and pass over what training snapshots hold and no picture needs."""
    generator.unstyled = {}
    state.pop(UNUSED_TENSOR, None)
    if not generator.config.rendering.use_torgb_raw:
        for name in [name for name in state if name.startswith("torgb.")]:
            del state[name]
