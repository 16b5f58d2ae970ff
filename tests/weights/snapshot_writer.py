"""Writes snapshots of our generators in the published format, with the same instructions and globals.

Classes and functions of the original program are imitated by empty ones of the same names, only while a
snapshot is written. Tensors are pickled by torch itself.
"""

import contextlib
import copy
import io
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.backbone import Backbone, MappingNetwork, SynthesisNetwork
from stylehead.generator.field import Decoder
from stylehead.generator.layers import FullyConnected, SynthesisBlock, SynthesisLayer, ToRGB
from stylehead.generator.superresolution import SuperResolution

SOURCE = "raise SystemExit('the source text of a snapshot was run')"
HOOKS = (
    "_backward_hooks",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


class Persistent:
    """An object that pickles as the original's persistent objects do."""

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.class_name, self.state, self.version = class_name, state, 6

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": self.version,
            "module_src": SOURCE,
            "class_name": self.class_name,
            "state": self.state,
        }
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


Change = Callable[[Persistent], None]


def random_generator(config: GeneratorConfig, seed: int = 0) -> PanoHead:
    """A network in which every number matters: no zeros, a dense head, distinct layers."""
    generator = PanoHead(config).eval()
    numbers = torch.Generator().manual_seed(seed)
    for name, tensor in generator.state_dict().items():
        if name.endswith("resample_filter"):
            continue
        scale = 0.2 if name.endswith(("bias", "noise_strength", "w_avg")) else 1.0
        tensor.copy_(torch.randn(tensor.shape, generator=numbers) * scale)
        if name.endswith("affine.bias"):
            tensor.add_(1.0)
    for name in ("backbone.mapping.", "t_mapping."):
        for key, tensor in generator.state_dict().items():
            if key.startswith(f"{name}fc") and key.endswith("weight"):
                tensor.div_(config.mapping_lr_mul if "backbone" in name else 10.0)
    generator.decoder.state_dict()["net.2.bias"][0] = 3.0
    return generator


def write_snapshot(
    path: Path,
    generator: PanoHead,
    *,
    change: Change | None = None,
    protocol: int = 4,
    **options: Any,
) -> Path:
    """Write a snapshot whose G_ema is a generator and whose G has other weights.

    Args:
        path: File to write.
        generator: G_ema.
        change: Alters the pickled G_ema.
        protocol: Of the pickle.
        options: Further entries of `rendering_kwargs`; None removes one.
    """
    ema = pickled_generator(generator, **options)
    other = copy.deepcopy(generator)
    for parameter in other.parameters():
        parameter.data.mul_(1.25)
    if change is not None:
        change(ema)
    content = {
        "training_set_kwargs": {"class_name": "training.dataset.MaskLabeledDataset", "resolution": 64},
        "G": pickled_generator(other),
        "D": Persistent("MaskDualDiscriminatorV2", module_state(nn.Linear(2, 2), {})),
        "G_ema": ema,
        "augment_pipe": None,
    }
    path.write_bytes(dump(content, protocol))
    return path


def dump(content: object, protocol: int = 4) -> bytes:
    """Pickle with the original's names in place."""
    with original_names():
        file = io.BytesIO()
        pickle.Pickler(file, protocol).dump(content)
        return file.getvalue()


def child(network: Persistent, path: str) -> Any:
    """A module inside a pickled network, by path."""
    for name in path.split("."):
        state = network.state if isinstance(network, Persistent) else network.__dict__
        network = state["_modules"][name]
    return network


@contextlib.contextmanager
def original_names() -> Iterator[None]:
    """Let pickle find the names of the original program."""

    def _reconstruct_persistent_obj(meta: object) -> None: ...

    modules = {
        "torch_utils.persistence": [_reconstruct_persistent_obj],
        "dnnlib.util": [EasyDict],
        "training.volumetric_rendering.ray_sampler": [RaySampler],
    }
    before = dict(sys.modules)
    for name, contents in modules.items():
        for part in (name.rpartition(".")[0].split(".")[0], name.rpartition(".")[0], name):
            sys.modules.setdefault(part, types.ModuleType(part))
        for item in contents:
            item.__module__, item.__qualname__ = name, item.__name__
            setattr(sys.modules[name], item.__name__, item)
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            if name.split(".")[0] in ("torch_utils", "dnnlib", "training"):
                del sys.modules[name]


class EasyDict(dict[str, Any]):
    """Imitates the original's dictionary with attributes."""


class RaySampler(nn.Module):
    """Imitates the original's module without tensors."""


def published_options(config: GeneratorConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Constructor arguments of the original for a configuration, and the rendering options among them."""
    rendering = EasyDict(
        image_resolution=config.img_resolution,
        disparity_space_sampling=config.rendering.disparity_space_sampling,
        clamp_mode="softplus",
        superresolution_module=f"training.superresolution.{_superresolution_name(config)}",
        c_gen_conditioning_zero=config.rendering.c_gen_conditioning_zero,
        gpc_reg_prob=0.8,
        c_scale=config.rendering.c_scale,
        superresolution_noise_mode=config.rendering.superresolution_noise_mode,
        density_reg=0.0,
        density_reg_p_dist=0.004,
        reg_type="l1",
        decoder_lr_mul=config.rendering.decoder_lr_mul,
        decoder_activation=config.rendering.decoder_activation,
        use_torgb_raw=config.rendering.use_torgb_raw,
        triplane_size=config.rendering.triplane_size,
        triplane_depth=config.rendering.triplane_depth,
        trans_reg=10.0,
        use_background=config.rendering.use_background,
        sr_antialias=config.rendering.sr_antialias,
        depth_resolution=config.rendering.depth_resolution,
        depth_resolution_importance=config.rendering.depth_resolution_importance,
        ray_start=config.rendering.ray_start,
        ray_end=config.rendering.ray_end,
        box_warp=config.rendering.box_warp,
        white_back=config.rendering.white_back,
        avg_camera_radius=2.7,
        avg_camera_pivot=[0, 0, 0.2],
    )
    constructor = {
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "mapping_kwargs": EasyDict(
            num_layers=config.mapping_num_layers, layer_features=config.mapping_layer_features
        ),
        "architecture": "skip",
        "channel_base": config.channel_base,
        "channel_max": config.channel_max,
        "fused_modconv_default": "inference_only",
        "rendering_kwargs": rendering,
        "num_fp16_res": 0,
        "sr_num_fp16_res": 4,
        "sr_kwargs": EasyDict(channel_base=config.channel_base, channel_max=config.channel_max),
        "conv_clamp": config.conv_clamp,
        "c_dim": config.c_dim,
        "img_resolution": config.img_resolution,
        "img_channels": config.img_channels,
    }
    return constructor, rendering


def pickled_generator(generator: PanoHead, **options: Any) -> Persistent:
    """The generator as the original pickles it; arguments as in `write_snapshot`."""
    config = generator.config
    constructor, rendering = published_options(config)
    told = EasyDict(rendering) | {"density_noise": 0} | options
    attributes = {
        "z_dim": config.z_dim,
        "c_dim": config.c_dim,
        "w_dim": config.w_dim,
        "img_resolution": config.img_resolution,
        "img_channels": config.img_channels,
        "neural_rendering_resolution": config.neural_rendering_resolution,
        "rendering_kwargs": {name: value for name, value in told.items() if value is not None},
        "_last_planes": None,
    }
    network = Persistent("TriPlaneGenerator", module_state(generator, attributes, constructor))
    parts = network.state["_modules"]
    axes = torch.eye(3)[torch.tensor([[0, 1, 2], [0, 2, 1], [1, 2, 0]])]
    renderer = Persistent("ImportanceRenderer", module_state(nn.Module(), {"plane_axes": axes}))
    renderer.state["_modules"] = {"ray_marcher": Persistent("MipRayMarcher2", module_state(nn.Module(), {}))}
    network.state["_modules"] = {"renderer": renderer, "ray_sampler": RaySampler()} | {
        name: pickled_module(module) for name, module in generator.named_children() if name in parts
    }
    network.state["_buffers"]["dataset_label_std"] = torch.ones(25)
    return network


def module_state(
    module: nn.Module, attributes: dict[str, Any], constructor: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The `__dict__` of a module of the original."""
    return {
        "training": False,
        "_parameters": dict(module._parameters),
        "_buffers": dict(module._buffers),
        "_non_persistent_buffers_set": set(),
        **{name: OrderedDict() for name in HOOKS},
        "_is_full_backward_hook": None,
        "_modules": dict(module._modules),
        **attributes,
        "_init_args": (),
        "_init_kwargs": constructor or {},
    }


def pickled_module(module: nn.Module) -> Any:
    """A module of ours, and all in it, as the original pickles its own of the same place."""
    if isinstance(module, nn.Sequential | nn.Softplus):
        plain = copy.copy(module)
        plain.__dict__ = dict(module.__dict__)
        plain._modules = {name: pickled_module(part) for name, part in module.named_children()}
        return plain
    class_name, attributes = _describe(module)
    network = Persistent(class_name, module_state(module, attributes))
    network.state["_modules"] = {name: pickled_module(part) for name, part in module.named_children()}
    return network


def _describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """Class name and attributes of the original's module in the place of one of ours."""
    if isinstance(module, FullyConnected):
        return "FullyConnectedLayer", {
            "in_features": module.weight.shape[1],
            "out_features": module.weight.shape[0],
            "activation": module.activation,
            "weight_gain": np.float64(module.weight_gain),
            "bias_gain": module.bias_gain,
        }
    if isinstance(module, SynthesisLayer):
        return "SynthesisLayer", {
            "in_channels": module.weight.shape[1],
            "out_channels": module.weight.shape[0],
            "up": module.up,
            "use_noise": True,
            "activation": "lrelu",
            "conv_clamp": module.conv_clamp,
            "padding": 1,
            "act_gain": np.sqrt(2),
        }
    if isinstance(module, ToRGB):
        return "ToRGBLayer", {
            "in_channels": module.weight.shape[1],
            "conv_clamp": module.conv_clamp,
            "weight_gain": 1 / np.sqrt(module.weight.shape[1]),
        }
    if isinstance(module, SynthesisBlock):
        kind = "SynthesisBlock" if module.up == 2 else "SynthesisBlockNoUp"
        return kind, {"in_channels": module.in_channels, "architecture": "skip", "use_fp16": False}
    if isinstance(module, SuperResolution):
        return f"SuperresolutionHybrid{module.config.kind}", {
            "input_resolution": module.config.input_resolution,
            "sr_antialias": module.antialias,
        }
    if isinstance(module, Decoder):
        return "OSGDecoder", {"hidden_dim": 64, "activation": module.activation}
    if isinstance(module, MappingNetwork):
        return "MappingNetwork", {
            "num_ws": module.num_ws,
            "num_layers": module.num_layers,
            "w_avg_beta": 0.998,
        }
    names = {Backbone: "Generator", SynthesisNetwork: "SynthesisNetwork"}
    return names[type(module)], {}


def _superresolution_name(config: GeneratorConfig) -> str:
    return f"SuperresolutionHybrid{config.superresolution.kind}"
