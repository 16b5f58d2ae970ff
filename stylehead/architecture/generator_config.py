"""Sizes and options of a generator: one frozen dataclass for every size, with a JSON form."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stylehead.errors import UsageError

DecoderActivation = Literal["none", "sigmoid", "lrelu"]
RayLimit = float | Literal["auto"]
DECODER_FEATURES = 32
DECODER_HIDDEN = 64

# Options of the mapping, which our fields have with `mapping_` before them; none means the default.
_PUBLISHED_MAPPING = ("num_layers", "layer_features")

# Published super-resolution variants: input resolution, output channels of the two blocks.
_PUBLISHED_SUPERRESOLUTION = {
    "8XDC": (128, 256, 128),
    "8X": (128, 128, 64),
    "4X": (128, 128, 64),
    "2X": (64, 128, 64),
}


@dataclass(frozen=True)
class SuperresolutionConfig:
    """The two blocks that turn the raw render into the final picture."""

    kind: Literal["8XDC", "8X", "4X", "2X"] = "8XDC"  # 4X and 2X: the first block keeps the resolution
    input_resolution: int = 128  # raw renders of another size are resized to this
    block0_out_channels: int = 256
    block1_out_channels: int = 128
    conv_clamp: float | None = 256.0  # symmetric limit after every convolution

    def __post_init__(self) -> None:
        _check_types(self)

    @property
    def first_up(self) -> int:
        """Up-sampling factor of the first block (the second always doubles)."""
        return 2 if self.kind in ("8XDC", "8X") else 1

    @property
    def output_resolution(self) -> int:
        """Edge of the final picture in pixels."""
        return self.input_resolution * self.first_up * 2


@dataclass(frozen=True)
class RenderingConfig:
    """How the tri-grid becomes a picture. Defaults are those of the published network."""

    triplane_size: int = 256  # texels along an edge of each of the three grids
    triplane_depth: int = 3  # slices of each grid
    box_warp: float = 1.0  # edge of the rendered cube in world units
    triplane_crop: float = 0.1  # nothing shows so near to the faces of the cube in x and z
    depth_resolution: int = 48  # coarse samples on a ray
    depth_resolution_importance: int = 48  # further samples where the coarse ones found something; 0 = none
    ray_start: RayLimit = (
        2.25  # nearest sample, distance along the ray; "auto" = where the ray enters the cube
    )
    ray_end: RayLimit = 3.3
    empty_ray: float = 0.0  # a ray whose coarse samples gathered no more than this gets no further ones
    disparity_space_sampling: bool = False  # coarse samples uniform in 1 / depth
    white_back: bool = False  # what light is left shows 1 in every feature
    density_noise: float = 0.0  # standard deviation of noise on the density, random renders only
    decoder_activation: DecoderActivation = "none"
    decoder_lr_mul: float = 1.0
    use_torgb_raw: bool = True  # raw picture from a learned 1x1 layer; else the first three features
    use_background: bool = True  # has a background network
    c_gen_conditioning_zero: bool = False  # the mapping ignores the camera
    c_scale: float = 1.0  # factor on the camera before the mapping
    superresolution_noise_mode: Literal["none", "const", "random"] = "none"
    sr_antialias: bool = True

    def __post_init__(self) -> None:
        _check_types(self)
        if (self.ray_start == "auto") != (self.ray_end == "auto"):
            raise UsageError("`ray_start` and `ray_end` must both be numbers or both be 'auto'.")
        if self.box_warp <= 0:
            raise UsageError(f"`box_warp` (={self.box_warp:g}) must be positive.")
        if not 0 <= self.empty_ray < 1:
            raise UsageError(f"`empty_ray` (={self.empty_ray:g}) must be from 0 up, and less than 1.")
        if self.depth_resolution < 2:
            raise UsageError(f"`depth_resolution` (={self.depth_resolution}) must be at least 2.")
        if self.depth_resolution_importance > 0 and self.depth_resolution < 4:
            raise UsageError("`depth_resolution` must be at least 4 when there are importance samples.")


@dataclass(frozen=True)
class GeneratorConfig:
    """Everything that shapes a generator. Defaults are the published full-size network."""

    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 25
    img_resolution: int = 512
    img_channels: int = 3
    mapping_num_layers: int = 2
    mapping_layer_features: int | None = None  # width between the mapping's layers; w_dim when None
    mapping_lr_mul: float = 0.01  # stored mapping weights are divided by this
    camera_mapping_num_layers: int = 2  # layers of the network that offsets cameras
    channel_base: int = 32768  # channels at resolution r: min(channel_base // r, channel_max)
    channel_max: int = 512
    conv_clamp: float | None = None  # limit in the backbone and the background; none in the published network
    neural_rendering_resolution: int = 64  # edge of the raw render in pixels
    superresolution: SuperresolutionConfig = field(default_factory=SuperresolutionConfig)
    rendering: RenderingConfig = field(default_factory=RenderingConfig)

    def __post_init__(self) -> None:
        _check_types(self)
        self._check_grown_sizes()
        if self.superresolution.output_resolution != self.img_resolution:
            raise UsageError(
                f"`img_resolution` (={self.img_resolution}) is not what the super-resolution makes "
                f"(={self.superresolution.output_resolution})."
            )

    def _check_grown_sizes(self) -> None:
        """Check the sizes that networks reach by doubling from 4 on; a super-resolution starts at any."""
        first, background = self.superresolution.input_resolution, self.rendering.use_background
        for name, size, doubled in (
            ("triplane_size", self.rendering.triplane_size, True),
            ("superresolution.input_resolution", first, background),
        ):
            if size < 4 or (doubled and size & (size - 1)):
                rule = "a power of two and at least 4" if doubled else "at least 4"
                raise UsageError(f"`{name}` (={size}) must be {rule}.")
        sizes = [self.rendering.triplane_size]
        if background:  # half as many channels there
            sizes.append(2 * first)
        if self.channel_base < max(sizes):
            raise UsageError(f"`channel_base` (={self.channel_base}) leaves no channel at the largest size.")

    @property
    def plane_channels(self) -> int:
        """Channels of the backbone's output: 3 grids x 32 features x depth."""
        return 3 * DECODER_FEATURES * self.rendering.triplane_depth

    @property
    def num_ws(self) -> int:
        """How many style vectors the backbone takes."""
        return num_ws_for(self.rendering.triplane_size)

    @property
    def num_ws_background(self) -> int:
        """How many style vectors the background network takes."""
        return num_ws_for(self.superresolution.input_resolution)

    @classmethod
    def full(cls) -> "GeneratorConfig":
        """The published 512x512 network."""
        return cls()

    @classmethod
    def mini(cls) -> "GeneratorConfig":
        """The 128x128 network of the embedded preset."""
        return cls(
            z_dim=64,
            w_dim=256,
            img_resolution=128,
            mapping_num_layers=8,
            mapping_layer_features=512,
            mapping_lr_mul=1.0,
            channel_base=4096,
            channel_max=256,
            neural_rendering_resolution=64,
            superresolution=SuperresolutionConfig(
                kind="2X", input_resolution=64, block0_out_channels=32, block1_out_channels=24
            ),
            rendering=RenderingConfig(
                triplane_size=64,
                box_warp=0.7,
                triplane_crop=0.02,
                depth_resolution=8,
                depth_resolution_importance=10,
                ray_start="auto",
                ray_end="auto",
                empty_ray=0.0003,
                use_background=False,
                c_gen_conditioning_zero=True,
            ),
        )

    @classmethod
    def tiny(cls) -> "GeneratorConfig":
        """A 64x64 network for tests."""
        return cls(
            z_dim=32,
            w_dim=32,
            img_resolution=64,
            channel_base=512,
            channel_max=24,
            neural_rendering_resolution=16,
            superresolution=SuperresolutionConfig(
                input_resolution=16, block0_out_channels=24, block1_out_channels=16
            ),
            rendering=RenderingConfig(triplane_size=32, depth_resolution=16, depth_resolution_importance=12),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and numbers, the inverse of `from_dict`."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """The configuration as one JSON object with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GeneratorConfig":
        """Read `to_dict`'s form, or the published layout (recognised by its `rendering_kwargs`).

        Raises:
            UsageError: A key is unknown or a value makes no sense.
        """
        if "rendering_kwargs" in data:
            return cls.from_published(data)
        values = dict(data)
        parts = {
            "superresolution": _build(SuperresolutionConfig, values.pop("superresolution", {})),
            "rendering": _build(RenderingConfig, values.pop("rendering", {})),
        }
        return _build(cls, {**values, **parts})

    @classmethod
    def from_json(cls, text: str) -> "GeneratorConfig":
        """Read `to_json`'s text.

        Raises:
            UsageError: Not JSON, or not a generator's configuration.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"The generator's configuration is not JSON ({error}).") from error
        if not isinstance(data, dict):
            raise UsageError("The generator's configuration is not a JSON object.")
        return cls.from_dict(data)

    @classmethod
    def from_published(cls, data: Mapping[str, Any]) -> "GeneratorConfig":
        """Read constructor arguments in the published layout; keys that only steer training are passed over.

        Args:
            data: Names of the original constructor (`rendering_kwargs`, `mapping_kwargs` or
                `mapping_num_layers`, ...), optionally with `neural_rendering_resolution` and with an
                `sr` object that gives the sizes of a super-resolution which is none of the published ones.
        """
        rendering = dict(data.get("rendering_kwargs", {}))
        rendering.setdefault("c_scale", 0.0)  # a missing factor counts as zero there
        known = {name: data[name] for name in _field_names(cls) if name in data}
        mapping = dict(data.get("mapping_kwargs", {}))
        known |= {f"mapping_{name}": mapping[name] for name in _PUBLISHED_MAPPING if mapping.get(name)}
        superresolution = _published_superresolution(data, rendering)
        kept = {name: rendering[name] for name in _field_names(RenderingConfig) if name in rendering}
        return _build(
            cls, {**known, "superresolution": superresolution, "rendering": _build(RenderingConfig, kept)}
        )


def num_ws_for(resolution: int) -> int:
    """Style vectors of a synthesis network: one for 4x4, two a doubling, one for the last colour layer."""
    return 2 * (resolution.bit_length() - 3) + 2


def _published_superresolution(
    data: Mapping[str, Any], rendering: Mapping[str, Any]
) -> SuperresolutionConfig:
    clamp = data.get("sr", {}).get("conv_clamp", 256 if int(data.get("sr_num_fp16_res", 4)) > 0 else None)
    if "sr" in data:
        sizes = {name: data["sr"][name] for name in _field_names(SuperresolutionConfig) if name in data["sr"]}
        sizes["kind"] = str(sizes.get("kind", "8XDC")).removesuffix("-like")
        return _build(SuperresolutionConfig, {**sizes, "conv_clamp": clamp})
    name = str(rendering.get("superresolution_module", "SuperresolutionHybrid8XDC"))
    kind = name.rpartition("SuperresolutionHybrid")[2]
    if kind not in _PUBLISHED_SUPERRESOLUTION:
        raise UsageError(f"`superresolution_module` (={name}) is not one of the published ones.")
    input_resolution, width0, width1 = _PUBLISHED_SUPERRESOLUTION[kind]
    return _build(
        SuperresolutionConfig,
        {
            "kind": kind,
            "input_resolution": input_resolution,
            "block0_out_channels": width0,
            "block1_out_channels": width1,
            "conv_clamp": clamp,
        },
    )


def _field_names(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls)]


def _build(cls: type, values: Mapping[str, Any]) -> Any:
    unknown = sorted(set(values) - set(_field_names(cls)))
    if unknown:
        raise UsageError(f"`{unknown[0]}` is not an option of {cls.__name__}.")
    return cls(**values)


def _check_types(config: Any) -> None:
    """Refuse values of another type than the field's, and whole numbers that are negative."""
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if not _matches(value, hint):
            wanted = ", ".join(map(str, get_args(hint))) or getattr(hint, "__name__", str(hint))
            raise UsageError(f"`{name}` (={value}) must be {wanted}.")
        if hint is int and value < (0 if name == "depth_resolution_importance" else 1):
            raise UsageError(f"`{name}` (={value}) must be positive.")


def _matches(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_matches(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)
