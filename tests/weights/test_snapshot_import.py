"""Snapshots become generator files that render the same pictures, whatever their sizes and options."""

import dataclasses
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from snapshot_writer import Persistent, child, random_generator, write_snapshot

from stylehead.errors import JobError, UsageError
from stylehead.generator import GeneratorConfig, PanoHead, SuperresolutionConfig
from stylehead.geometry import camera_from_angles
from stylehead.weights import import_snapshot

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
PUBLISHED = GOLDEN / "tiny_snapshot_no_source.pkl"


def configured(*, rendering: dict[str, Any] | None = None, **values: Any) -> GeneratorConfig:
    """The tiny configuration with other values."""
    tiny = GeneratorConfig.tiny()
    options = {"depth_resolution": 8, "depth_resolution_importance": 6} | (rendering or {})
    values = {"neural_rendering_resolution": 8} | values
    return dataclasses.replace(tiny, rendering=dataclasses.replace(tiny.rendering, **options), **values)


def with_superresolution(kind: Any, first: int, output: int, **rendering: Any) -> GeneratorConfig:
    part = SuperresolutionConfig(
        kind=kind, input_resolution=first, block0_out_channels=8, block1_out_channels=4
    )
    return configured(superresolution=part, img_resolution=output, rendering=rendering)


CONFIGURATIONS = {
    "as published": configured(),
    "no background": configured(rendering={"use_background": False}),
    "one slice": configured(rendering={"triplane_depth": 1}),
    "four slices": configured(rendering={"triplane_depth": 4}),
    "sigmoid": configured(rendering={"decoder_activation": "sigmoid"}),
    "lrelu": configured(rendering={"decoder_activation": "lrelu"}),
    "decoder rate": configured(rendering={"decoder_lr_mul": 0.5}),
    "conditioning zeroed": configured(rendering={"c_gen_conditioning_zero": True}),
    "conditioning halved": configured(rendering={"c_scale": 0.5}),
    "white behind": configured(rendering={"white_back": True}),
    "disparity": configured(rendering={"disparity_space_sampling": True}),
    "rays meet the cube": configured(rendering={"ray_start": "auto", "ray_end": "auto"}),
    "smaller box": configured(rendering={"box_warp": 0.8}),
    "coarse only": configured(rendering={"depth_resolution_importance": 0}),
    "raw colours are features": configured(rendering={"use_torgb_raw": False}),
    "noise in super-resolution": configured(rendering={"superresolution_noise_mode": "const"}),
    "no antialias": configured(rendering={"sr_antialias": False}, neural_rendering_resolution=24),
    "clamped": configured(conv_clamp=256),
    "deep mapping": configured(mapping_num_layers=5, mapping_lr_mul=0.1, camera_mapping_num_layers=3),
    "wide mapping": configured(mapping_num_layers=3, mapping_layer_features=50),
    "other sizes": configured(
        z_dim=17, w_dim=40, channel_base=1024, channel_max=20, rendering={"triplane_size": 64}
    ),
    "8X": with_superresolution("8X", 16, 64),
    "4X": with_superresolution("4X", 16, 32),
    "2X": with_superresolution("2X", 8, 16),
    "no power of two": with_superresolution("2X", 24, 48, use_background=False),
    "no power of two, eightfold": with_superresolution("8XDC", 12, 48, use_background=False),
}


@torch.no_grad()
def pictures(generator: PanoHead) -> list[torch.Tensor]:
    """Every output of a render from the side, with and without a background."""
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(7))
    label = camera_from_angles(0.6, 0.1)
    shown = list(generator.forward(z, label, truncation_psi=0.7))
    return [*shown, *generator.synthesis(generator.mapping(z, label), label, background="white")]


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_configuration_renders_the_same_pictures(config: GeneratorConfig, tmp_path: Path) -> None:
    generator = random_generator(config)
    imported = import_snapshot(write_snapshot(tmp_path / "a.pkl", generator), tmp_path / "a.safetensors")
    loaded = PanoHead.load(imported.path)
    assert imported.config == loaded.config == config
    assert loaded.fingerprint() == generator.fingerprint()
    for actual, expected in zip(pictures(loaded), pictures(generator), strict=True):
        assert torch.equal(actual, expected)
    assert pictures(generator)[3].std() > 1e-4  # the mask: there is something to see


def test_the_original_file_gives_the_original_numbers(tmp_path: Path) -> None:
    imported = import_snapshot(PUBLISHED, tmp_path / "tiny.safetensors")
    assert imported.config == GeneratorConfig.tiny()
    weights = load_file(GOLDEN / "tiny_weights.safetensors")
    loaded = PanoHead.load(imported.path)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    inputs, outputs = (load_file(GOLDEN / f"tiny_{name}.safetensors") for name in ("inputs", "outputs"))
    with torch.no_grad():
        ws = outputs["mapping/ws_psi0.7_cut14"][:1]
        rendered = loaded.synthesis(ws, inputs["c/front"], background=True)
    for name in ("image_raw", "image_mask"):
        expected = outputs[f"render/front/{name}"]
        actual = rendered.image_raw if name == "image_raw" else rendered.mask
        assert (actual - expected).abs().max() <= 1e-4 * max(1, expected.abs().max())


def test_the_writer_of_these_tests_speaks_as_the_original(tmp_path: Path) -> None:
    ours = write_snapshot(tmp_path / "a.pkl", random_generator(configured()))
    words = [{op.name for op, *_ in pickletools.genops(path.read_bytes())} for path in (ours, PUBLISHED)]
    assert words[0] <= words[1]
    assert {"REDUCE", "NEWOBJ", "BUILD", "STACK_GLOBAL"} <= words[0]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_pickle_writes_today(protocol: int, tmp_path: Path) -> None:
    generator = random_generator(configured())

    def without_numpy(network: Persistent) -> None:  # protocol 2 spells bytes in a way that is not allowed
        for part in walk(network):
            for name in ("weight_gain", "act_gain"):
                if name in part.state:
                    part.state[name] = float(part.state[name])

    path = write_snapshot(tmp_path / "a.pkl", generator, change=without_numpy, protocol=protocol)
    if protocol == 2:
        with pytest.raises(JobError, match=r"names _codecs\.encode"):
            import_snapshot(path, tmp_path / "a.safetensors")
    else:
        imported = import_snapshot(path, tmp_path / "a.safetensors")
        assert PanoHead.load(imported.path).fingerprint() == generator.fingerprint()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(dtype: torch.dtype, tmp_path: Path) -> None:
    generator = random_generator(configured()).to(dtype)
    imported = import_snapshot(write_snapshot(tmp_path / "a.pkl", generator), tmp_path / "a.safetensors")
    for name, tensor in PanoHead.load(imported.path).state_dict().items():
        assert torch.equal(tensor, generator.state_dict()[name].float()), name


def test_tensors_that_are_views_keep_their_order(tmp_path: Path) -> None:
    generator = random_generator(configured())
    weight = generator.decoder.net[0].weight
    weight.data = weight.data.t().contiguous().t()
    assert not weight.is_contiguous()
    imported = import_snapshot(write_snapshot(tmp_path / "a.pkl", generator), tmp_path / "a.safetensors")
    assert torch.equal(PanoHead.load(imported.path).decoder.net[0].weight, weight)


def test_the_header_says_what_it_is_and_under_which_licence(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "a.pkl", random_generator(configured()))
    imported = import_snapshot(path, tmp_path / "a.safetensors")
    with safe_open(imported.path, framework="numpy") as file:
        header = file.metadata()
    assert "CC BY-NC-SA 4.0" in header["stylehead.licence"]
    assert header["stylehead.source"] == "a.pkl"
    assert len(header["stylehead.source_sha256"]) == 64
    assert GeneratorConfig.from_json(header["stylehead.config"]) == imported.config


def test_absent_options_mean_what_they_meant(tmp_path: Path) -> None:
    generator = random_generator(configured())
    path = write_snapshot(tmp_path / "a.pkl", generator, c_scale=None, white_back=None, density_noise=None)
    rendering = import_snapshot(path, tmp_path / "a.safetensors").config.rendering
    assert rendering.c_scale == 0.0
    assert not rendering.white_back


def test_options_set_after_the_network_was_made_count(tmp_path: Path) -> None:
    path = write_snapshot(
        tmp_path / "a.pkl", random_generator(configured()), depth_resolution=5, box_warp=0.9
    )
    rendering = import_snapshot(path, tmp_path / "a.safetensors").config.rendering
    assert (rendering.depth_resolution, rendering.box_warp) == (5, 0.9)


def test_notes_name_what_differs_from_the_published_network(tmp_path: Path) -> None:
    imported = import_snapshot(PUBLISHED, tmp_path / "a.safetensors")
    (note,) = imported.notes
    assert "z_dim 32 (published: 512)" in note
    assert "rendering.triplane_size 32 (published: 256)" in note
    assert "box_warp" not in note


def set_attribute(path: str, name: str, value: object) -> Any:
    return lambda network: (child(network, path) if path else network).state.update({name: value})


def set_option(name: str, value: object) -> Any:
    return lambda network: network.state["_init_kwargs"].update({name: value})


def rename_class(path: str, name: str) -> Any:
    return lambda network: setattr(child(network, path) if path else network, "class_name", name)


def drop_tensor(network: Persistent) -> None:
    del child(network, "decoder.net.0").state["_parameters"]["bias"]


def add_tensor(network: Persistent) -> None:
    child(network, "decoder").state["_buffers"]["extra"] = torch.ones(3)


def reshape_tensor(network: Persistent) -> None:
    child(network, "torgb").state["_parameters"]["bias"] = torch.ones(4)


def spoil_tensor(network: Persistent) -> None:
    child(network, "torgb").state["_parameters"]["bias"] = torch.tensor([0.0, torch.nan, 0.0])


def other_filter(network: Persistent) -> None:
    child(network, "backbone.synthesis.b8").state["_buffers"]["resample_filter"] = torch.ones(4, 4)


def drop_camera_mapping(network: Persistent) -> None:
    del network.state["_modules"]["t_mapping"]
    other_axes(network)


def other_axes(network: Persistent) -> None:
    child(network, "renderer").state["plane_axes"] = torch.eye(3).repeat(3, 1, 1)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "clamp mode": (None, {"clamp_mode": "relu"}, r"`clamp_mode` \(=relu\) must be softplus"),
    "architecture": (set_option("architecture", "resnet"), {}, r"`architecture` \(=resnet\) must be skip"),
    "unknown option": (set_option("flavour", 1), {}, "option `flavour`"),
    "unknown rendering": (None, {"fog": 0.5}, "option `rendering_kwargs.fog`"),
    "unknown mapping": (
        set_option("mapping_kwargs", {"num_layers": 2, "twist": 1}),
        {},
        "option `mapping_kwargs.twist`",
    ),
    "unknown decoder": (
        set_attribute("decoder", "activation", "tanh"),
        {},
        r"`decoder_activation` \(=tanh\)",
    ),
    "noise mode": (None, {"superresolution_noise_mode": "loud"}, r"`superresolution_noise_mode` \(=loud\)"),
    "no ray_start": (None, {"ray_start": None}, "does not say `ray_start`"),
    "half auto": (None, {"ray_start": "auto"}, "`ray_start` and `ray_end`"),
    "text as number": (None, {"box_warp": "wide"}, r"`box_warp` \(=wide\)"),
    "list as number": (None, {"box_warp": [1]}, "`box_warp` is a list"),
    "no coarse samples": (None, {"depth_resolution": 1}, "`depth_resolution`"),
    "linear layer": (
        set_attribute("backbone.mapping.fc0", "activation", "linear"),
        {},
        r"`backbone.mapping.fc0.activation` \(=linear\) must be lrelu",
    ),
    "other gain": (
        set_attribute("t_mapping.fc0", "bias_gain", 0.5),
        {},
        r"`t_mapping.fc0.bias_gain` \(=0.5\) must be 1.0",
    ),
    "no noise": (set_attribute("backbone.synthesis.b8.conv0", "use_noise", False), {}, "use_noise"),
    "one clamp": (
        set_attribute("backbone.synthesis.b8.conv0", "conv_clamp", 9),
        {},
        "share one `conv_clamp`",
    ),
    "resnet block": (
        set_attribute("backbone.synthesis.b8", "architecture", "resnet"),
        {},
        r"architecture` \(=resnet\) must be skip",
    ),
    "other class": (rename_class("decoder", "FancyDecoder"), {}, "class FancyDecoder"),
    "other network": (rename_class("", "Generator"), {}, "G_ema is of class Generator"),
    "other superresolution": (rename_class("superresolution", "SuperRes"), {}, "class SuperRes"),
    "no cameras": (set_attribute("", "c_dim", 3), {}, "c_dim"),
    "version": (lambda network: setattr(network, "version", 7), {}, "module in version 7"),
    "tensor missing": (drop_tensor, {}, "no tensor `decoder.net.0.bias`"),
    "tensor too many": (add_tensor, {}, "tensor `decoder.extra`"),
    "tensor of other shape": (reshape_tensor, {}, r"`torgb.bias` has shape \[4\], not \[3\]"),
    "not a number": (spoil_tensor, {}, "`torgb.bias` holds numbers that are not finite"),
    "other filter": (other_filter, {}, "not the one filter"),
    "other planes": (other_axes, {}, "plane_axes"),
    "EG3D": (drop_camera_mapping, {}, r"it is an EG3D network \(tri-plane\); only PanoHead's"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_pictures_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change, options, message = REFUSED[name]
    path = write_snapshot(tmp_path / "a.pkl", random_generator(configured()), change=change, **options)
    with pytest.raises(JobError, match=message) as caught:
        import_snapshot(path, tmp_path / "a.safetensors")
    assert str(caught.value).startswith(f"{path} was refused, and nothing in it was run: ")
    assert not (tmp_path / "a.safetensors").exists()


def test_harmless_options_are_accepted_with_a_note(tmp_path: Path) -> None:
    path = write_snapshot(
        tmp_path / "a.pkl",
        random_generator(configured()),
        change=set_option("num_fp16_res", 4),
        gpc_reg_prob=0.5,
        decoder_activation="sigmoid",
    )
    imported = import_snapshot(path, tmp_path / "a.safetensors")
    assert "half precision" in imported.notes[0]
    assert "`decoder_activation` is none in the network itself (its options say sigmoid)" in imported.notes[1]
    assert imported.config.rendering.decoder_activation == "none"


def test_nothing_heavy_is_loaded_to_read_a_snapshot(tmp_path: Path) -> None:
    code = (
        "import sys; from stylehead.weights import import_snapshot; "
        f"import_snapshot({str(PUBLISHED)!r}, {str(tmp_path / 'a.safetensors')!r}); "
        "print({'torch', 'diffusers', 'dnnlib', 'torch_utils'} & set(sys.modules))"
    )
    root = str(Path(__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.strip() == "set()"


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        import_snapshot(tmp_path / "no.pkl", tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="is a folder"):
        import_snapshot(tmp_path, tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="cannot be written"):
        import_snapshot(PUBLISHED, tmp_path / "no" / "a.safetensors")


def walk(network: Any) -> list[Persistent]:
    """A pickled network and everything in it that is persistent."""
    state = network.state if isinstance(network, Persistent) else network.__dict__
    own = [network] if isinstance(network, Persistent) else []
    return own + [part for inner in state["_modules"].values() for part in walk(inner)]
