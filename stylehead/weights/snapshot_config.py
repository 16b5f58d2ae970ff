"""From the options of a published network to our configuration: nothing that changes pictures is guessed.

Every option is either read, or must have the one value that the generator knows, or steers only training. An
option of any other name or value is refused by name. Where the network itself says how it was built (sizes of
its tensors, attributes of its modules), that counts and not what its constructor was told.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from stylehead.architecture import GeneratorConfig
from stylehead.errors import UsageError
from stylehead.weights.modules import Module, plain_numbers
from stylehead.weights.pickle_machine import Refused, shown

_CLASSES = frozenset(
    {
        "TriPlaneGenerator",
        "ImportanceRenderer",
        "MipRayMarcher2",
        "RaySampler",
        "Generator",
        "SynthesisNetwork",
        "SynthesisBlock",
        "SynthesisBlockNoUp",
        "SynthesisLayer",
        "ToRGBLayer",
        "FullyConnectedLayer",
        "MappingNetwork",
        "OSGDecoder",
        "Sequential",
        "Softplus",
    }
)
_READ = ("z_dim", "w_dim", "c_dim", "img_resolution", "img_channels", "channel_base", "channel_max")
_PASSED_OVER = {
    "rendering_kwargs",  # read on its own
    "mapping_kwargs",  # the mapping network is there to be looked at
    "conv_clamp",  # every convolution says its own
    "sr_kwargs",  # the super-resolution network is there to be looked at
    "sr_num_fp16_res",  # switches its clamp on, which its convolutions say themselves
    "num_fp16_res",  # speed on a GPU
    "fused_modconv_default",  # speed
}
_MAPPING_OPTIONS = {"num_layers", "layer_features", "w_avg_beta"}  # the last is for training
_REQUIRED_RENDERING = (
    "depth_resolution",
    "depth_resolution_importance",
    "ray_start",
    "ray_end",
    "box_warp",
    "disparity_space_sampling",
    "c_gen_conditioning_zero",
    "superresolution_noise_mode",
)
_OPTIONAL_RENDERING = {"white_back": False, "density_noise": 0.0, "c_scale": 0.0}  # as when they are absent
_FROM_THE_NETWORK = {
    "triplane_size",
    "triplane_depth",
    "use_background",
    "use_torgb_raw",
    "decoder_activation",
    "decoder_lr_mul",
    "sr_antialias",
    "superresolution_module",
}
_TRAINING_ONLY = {
    "image_resolution",
    "gpc_reg_prob",
    "gpc_reg_fade_kimg",
    "density_reg",
    "density_reg_p_dist",
    "reg_type",
    "trans_reg",
    "avg_camera_radius",
    "avg_camera_pivot",
}
_LARGEST = {
    "depth_resolution": 2000,
    "depth_resolution_importance": 2000,
    "neural_rendering_resolution": 1024,
}


class Options(NamedTuple):
    """A configuration, and what the user should know of how it was read."""

    config: GeneratorConfig
    notes: tuple[str, ...]


def read_options(modules: Mapping[str, Module], shapes: Mapping[str, tuple[int, ...]]) -> Options:
    """Find the configuration of a network.

    Args:
        modules: By path, the generator itself at "".
        shapes: Of its tensors, by state-dict name.

    Raises:
        Refused: It has an option or a part that our generator does not have; names it.
    """
    _check_classes(modules)
    root = modules[""].attributes
    told = _mapping(root, "_init_kwargs")
    if root.get("_init_args"):
        raise Refused("its generator was made with arguments without names")
    _check_told(told)
    notes = ["Blocks in half precision run in single precision here."] if told.get("num_fp16_res") else []
    rendering = _mapping(root, "rendering_kwargs") or _mapping(told, "rendering_kwargs")
    values = _sizes(root, told) | {
        "mapping_num_layers": _count_layers(shapes, "backbone.mapping"),
        "mapping_layer_features": _inner_width(shapes, "backbone.mapping"),
        "camera_mapping_num_layers": _count_layers(shapes, "t_mapping"),
        "mapping_lr_mul": _learning_rate(modules, "backbone.mapping.fc0"),
        "conv_clamp": _one_clamp(modules, ("backbone.", "bcg_synthesis.")),
        "superresolution": _superresolution(modules, shapes),
        "rendering": _rendering(modules, shapes, rendering, notes),
    }
    try:
        config = GeneratorConfig.from_dict(values)
    except (UsageError, TypeError, ValueError) as error:
        raise Refused(str(error).removesuffix(".")) from error
    _check_parts(modules, config)
    return Options(config, (*notes, *_differences(config)))


def _sizes(root: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of the network: what it is counts before what it was told to be."""
    values = {name: source[name] for source in (told, root) for name in _READ if name in source}
    values["neural_rendering_resolution"] = _required(root, "neural_rendering_resolution")
    for name, value in values.items():
        _check_simple(name, value)
    if values.get("c_dim") != 25 or values.get("img_channels") != 3:
        raise Refused("it has no cameras of 25 numbers (`c_dim`) or no 3 colours (`img_channels`)")
    return values


def _check_classes(modules: Mapping[str, Module]) -> None:
    for path, module in modules.items():
        if module.kind not in _CLASSES and path != "superresolution":
            raise Refused(
                f"its part `{shown(path)}` is of class {shown(module.kind)}, which no generator has"
            )
    if modules[""].kind != "TriPlaneGenerator":
        raise Refused(f"its G_ema is of class {shown(modules[''].kind)}, not TriPlaneGenerator")


def _check_told(told: Mapping[str, Any]) -> None:
    for name, value in told.items():
        if name == "architecture":
            _must_be(name, value, "skip")
        elif name not in _PASSED_OVER and name not in _READ:
            raise Refused(f"it has an option `{shown(name)}` that may change pictures and is not known")
    for name in _mapping(told, "mapping_kwargs"):
        if name not in _MAPPING_OPTIONS:
            raise Refused(f"it has an option `mapping_kwargs.{shown(name)}` that is not known")


def _rendering(
    modules: Mapping[str, Module],
    shapes: Mapping[str, tuple[int, ...]],
    options: Mapping[str, Any],
    notes: list[str],
) -> dict[str, Any]:
    """Read `rendering_kwargs`, and what the network itself says."""
    known = {*_REQUIRED_RENDERING, *_OPTIONAL_RENDERING, *_FROM_THE_NETWORK, *_TRAINING_ONLY}
    for name, value in options.items():
        if name == "clamp_mode":
            _must_be(name, value, "softplus")
        elif name not in known:
            raise Refused(f"it has an option `rendering_kwargs.{shown(name)}` that is not known")
    values = {name: _required(options, name) for name in _REQUIRED_RENDERING}
    values |= {name: options.get(name, default) for name, default in _OPTIONAL_RENDERING.items()}
    seen = _seen(modules, shapes, options)
    for name, value in (values | seen).items():
        _check_simple(name, value)
    for name, value in seen.items():
        if options.get(name, value) != value:
            notes.append(
                f"`{name}` is {value} in the network itself (its options say {shown(options[name])})."
            )
    return values | seen


def _seen(
    modules: Mapping[str, Module], shapes: Mapping[str, tuple[int, ...]], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Rendering options that the network itself shows."""
    sizes = [
        int(match[1]) for name in shapes if (match := re.match(r"backbone\.synthesis\.b(\d{1,6})\.", name))
    ]
    colours = shapes.get(f"backbone.synthesis.b{max(sizes, default=0)}.torgb.weight", (0,))[0]
    decoder = modules.get("decoder", modules[""]).attributes
    superresolution = modules.get("superresolution", modules[""]).attributes
    has_colour_layer = "torgb.weight" in shapes
    return {
        "triplane_size": max(sizes, default=0),
        "triplane_depth": colours // 96,
        "use_background": "bcg_synthesis" in modules,
        "use_torgb_raw": has_colour_layer and options.get("use_torgb_raw", True),
        "decoder_activation": decoder.get("activation", options.get("decoder_activation")),
        "decoder_lr_mul": _learning_rate(modules, "decoder.net.0"),
        "sr_antialias": superresolution.get("sr_antialias", options.get("sr_antialias")),
    }


def _superresolution(modules: Mapping[str, Module], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Which of the published variants it is, by the end of its class name, and of which sizes."""
    if "superresolution" not in modules:
        raise Refused("it has no super-resolution network")
    module = modules["superresolution"]
    named = re.search(r"(8XDC|8X|4X|2X)$", module.kind)
    if named is None:
        raise Refused(f"its super-resolution is of class {shown(module.kind)}, none of the published ones")
    widths = [shapes.get(f"superresolution.block{index}.conv1.weight", (0,))[0] for index in (0, 1)]
    middle = shapes.get("superresolution.block0.conv1.noise_const", (0,))[0]
    size = middle // (2 if named[1] in ("8X", "8XDC") else 1)
    if module.attributes.get("input_resolution", size) != size:
        raise Refused("its `superresolution.input_resolution` is not that of its layers")
    return {
        "kind": named[1],
        "input_resolution": size,
        "block0_out_channels": widths[0],
        "block1_out_channels": widths[1],
        "conv_clamp": _one_clamp(modules, ("superresolution.",)),
    }


def _one_clamp(modules: Mapping[str, Module], prefixes: tuple[str, ...]) -> float | None:
    """The limit that all convolutions of some networks share."""
    clamps: set[float | None] = set()
    for path, module in modules.items():
        if path.startswith(prefixes) and "conv_clamp" in module.attributes:
            clamp = module.attributes["conv_clamp"]
            _check_simple("conv_clamp", clamp)
            clamps.add(clamp)
    if len(clamps) != 1:
        raise Refused(f"its convolutions in {prefixes[0][:-1]} do not share one `conv_clamp`")
    return clamps.pop()


def _learning_rate(modules: Mapping[str, Module], path: str) -> float:
    """The factor on a layer's stored weights; its gain on the bias is just that."""
    if path not in modules:
        raise Refused(f"it has no layer `{path}`")
    gain = _required(modules[path].attributes, "bias_gain")
    if not isinstance(gain, int | float) or isinstance(gain, bool) or not 0 < gain < math.inf:
        raise Refused(f"its layer `{path}` has no sensible `bias_gain`")
    return float(gain)


def _count_layers(shapes: Mapping[str, tuple[int, ...]], path: str) -> int:
    return sum(re.fullmatch(re.escape(path) + r"\.fc\d+\.weight", name) is not None for name in shapes)


def _inner_width(shapes: Mapping[str, tuple[int, ...]], path: str) -> int | None:
    """Features between a mapping's layers, if they are not as many as those of w."""
    inner, w_dim = (shapes.get(f"{path}.{part}", (None,))[0] for part in ("fc0.bias", "w_avg"))
    several = f"{path}.fc1.bias" in shapes
    return inner if several and inner != w_dim else None


def _check_parts(modules: Mapping[str, Module], config: GeneratorConfig) -> None:
    """Compare what modules say of themselves with what ours do in their place."""
    for path, module in modules.items():
        expected = _expected(path, module, config)
        for name, value in expected.items():
            if name in module.attributes and not _alike(module.attributes[name], value):
                given = shown(module.attributes[name])
                raise Refused(f"its `{path}.{name}` (={given}) must be {value}; no other is known")


def _expected(path: str, module: Module, config: GeneratorConfig) -> dict[str, Any]:
    """Attributes that a module must have, if it has them, to be what our generator has in its place."""
    if module.kind == "FullyConnectedLayer":
        return _expected_connected(path, module, config)
    if module.kind == "SynthesisLayer":
        grows = path.endswith("conv0") and not _keeps_size(path, config)
        return {
            "up": 2 if grows else 1,
            "use_noise": True,
            "activation": "lrelu",
            "act_gain": math.sqrt(2),
            "padding": 1,
        }
    if module.kind == "ToRGBLayer":
        gain = {"weight_gain": 1 / math.sqrt(_inputs(module, "in_channels"))}
        return gain | {"conv_clamp": None} if path == "torgb" else gain
    return {"architecture": "skip"} if module.kind.startswith("SynthesisBlock") else {}


def _expected_connected(path: str, module: Module, config: GeneratorConfig) -> dict[str, Any]:
    """A fully connected layer's activation and gains, by its place."""
    parent, _, name = path.rpartition(".")
    rates = {
        "backbone.mapping": config.mapping_lr_mul,
        "decoder.net": config.rendering.decoder_lr_mul,
    }
    rate = rates.get(parent, 1.0) if name != "embed" else 1.0
    last_offset = path == f"t_mapping.fc{config.camera_mapping_num_layers - 1}"
    curved = name.startswith("fc") and not last_offset
    return {
        "activation": "lrelu" if curved else "linear",
        "weight_gain": rate / math.sqrt(_inputs(module, "in_features")),
        "bias_gain": rate,
    }


def _keeps_size(path: str, config: GeneratorConfig) -> bool:
    return path.startswith("superresolution.block0") and config.superresolution.first_up == 1


def _alike(actual: object, expected: object) -> bool:
    if isinstance(expected, float) and isinstance(actual, int | float):
        return math.isclose(actual, expected, rel_tol=1e-5)
    return actual == expected


def _differences(config: GeneratorConfig) -> tuple[str, ...]:
    """Say in what a network differs from the published one."""
    full = GeneratorConfig.full().to_dict()
    ours = config.to_dict()
    different = [
        f"{group}{name} {value} (published: {reference[name]})"
        for group, reference, actual in (
            ("", full, ours),
            ("rendering.", full["rendering"], ours["rendering"]),
            ("superresolution.", full["superresolution"], ours["superresolution"]),
        )
        for name, value in actual.items()
        if not isinstance(value, dict) and value != reference[name]
    ]
    return ("It differs from the published network: " + ", ".join(different) + ".",) if different else ()


def _mapping(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise Refused(f"its `{name}` are damaged")
    return plain_numbers(found)


def _required(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise Refused(f"it does not say `{name}`, without which nothing can be rendered")
    return values[name]


def _check_simple(name: str, value: object) -> None:
    """Pass numbers and words that can be meant; others would fail, or fill the memory, when rendering."""
    if not (value is None or isinstance(value, str | int | float)):
        raise Refused(f"its option `{name}` is {shown(value)}, not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"its option `{name}` is not a finite number")
    if isinstance(value, int) and value > _LARGEST.get(name, value):
        raise Refused(f"its option `{name}` (={value}) is more than {_LARGEST[name]}")


def _inputs(module: Module, name: str) -> float:
    """How many numbers a layer takes, as it says itself."""
    count = module.attributes.get(name)
    if not isinstance(count, int) or not 0 < count < 2**60:
        raise Refused(f"its layers do not all say their `{name}`")
    return float(count)


def _must_be(name: str, value: object, wanted: str) -> None:
    if value != wanted:
        raise Refused(f"its option `{name}` (={shown(value)}) must be {wanted}; no other is known")
