"""Names and shapes of a generator's weights, and how its files are marked."""

from itertools import pairwise

from stylehead.architecture.generator_config import DECODER_FEATURES, DECODER_HIDDEN, GeneratorConfig

GENERATOR_FORMAT = "generator-1"
FORMAT_KEY = "stylehead.format"
CONFIG_KEY = "stylehead.config"
UNUSED_TENSOR = "dataset_label_std"
"""Registered by the original training loop; no network uses it."""

Shape = tuple[int, ...]
_CAMERA_OFFSET = 3


def state_shapes(config: GeneratorConfig) -> dict[str, Shape]:
    """Shapes of all weights by their published names.

    Equal to those of a network that is built from the configuration (a test holds them together).
    """
    superresolution = config.superresolution
    middle = superresolution.input_resolution * superresolution.first_up
    shapes = _synthesis(
        "backbone.synthesis",
        config,
        resolution=config.rendering.triplane_size,
        colours=config.plane_channels,
        base=config.channel_base,
    )
    inner = config.mapping_layer_features or config.w_dim
    shapes |= _mapping("backbone.mapping", config, config.w_dim, config.mapping_num_layers, inner)
    if superresolution.kind != "8XDC":
        shapes["superresolution.resample_filter"] = (4, 4)
    widths = (DECODER_FEATURES, superresolution.block0_out_channels, superresolution.block1_out_channels)
    for index, size in enumerate((middle, middle * 2)):
        name = f"superresolution.block{index}"
        shapes |= _block(
            name, widths[index], widths[index + 1], size, w_dim=config.w_dim, colours=config.img_channels
        )
    shapes |= _connected("decoder.net.0", DECODER_FEATURES, DECODER_HIDDEN)
    shapes |= _connected("decoder.net.2", DECODER_HIDDEN, 1 + DECODER_FEATURES)
    if config.rendering.use_torgb_raw:
        shapes |= _colours("torgb", DECODER_FEATURES, config.img_channels, w_dim=config.w_dim)
    if config.rendering.use_background:
        shapes |= _synthesis(
            "bcg_synthesis",
            config,
            resolution=superresolution.input_resolution,
            colours=DECODER_FEATURES,
            base=config.channel_base // 2,
        )
    layers = config.camera_mapping_num_layers
    return shapes | _mapping("t_mapping", config, _CAMERA_OFFSET, layers, _CAMERA_OFFSET)


def _synthesis(
    name: str, config: GeneratorConfig, *, resolution: int, colours: int, base: int
) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    before = 0
    for size in (4 << step for step in range(resolution.bit_length() - 2)):
        width = min(base // size, config.channel_max)
        shapes |= _block(f"{name}.b{size}", before, width, size, w_dim=config.w_dim, colours=colours)
        before = width
    return shapes


def _block(name: str, before: int, width: int, size: int, *, w_dim: int, colours: int) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {f"{name}.resample_filter": (4, 4)}
    if before == 0:
        shapes[f"{name}.const"] = (width, size, size)
    else:
        shapes |= _convolution(f"{name}.conv0", before, width, size, w_dim=w_dim)
    shapes |= _convolution(f"{name}.conv1", width, width, size, w_dim=w_dim)
    return shapes | _colours(f"{name}.torgb", width, colours, w_dim=w_dim)


def _convolution(name: str, before: int, width: int, size: int, *, w_dim: int) -> dict[str, Shape]:
    own: dict[str, Shape] = {
        f"{name}.weight": (width, before, 3, 3),
        f"{name}.bias": (width,),
        f"{name}.noise_strength": (),
        f"{name}.noise_const": (size, size),
        f"{name}.resample_filter": (4, 4),
    }
    return own | _connected(f"{name}.affine", w_dim, before)


def _colours(name: str, width: int, colours: int, *, w_dim: int) -> dict[str, Shape]:
    own: dict[str, Shape] = {f"{name}.weight": (colours, width, 1, 1), f"{name}.bias": (colours,)}
    return own | _connected(f"{name}.affine", w_dim, width)


def _mapping(name: str, config: GeneratorConfig, width: int, layers: int, inner: int) -> dict[str, Shape]:
    shapes = _connected(f"{name}.embed", config.c_dim, width) | {f"{name}.w_avg": (width,)}
    widths = [config.z_dim + width] + [inner] * (layers - 1) + [width]
    for index, (before, after) in enumerate(pairwise(widths)):
        shapes |= _connected(f"{name}.fc{index}", before, after)
    return shapes


def _connected(name: str, before: int, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width, before), f"{name}.bias": (width,)}
