"""Architecture, configuration and files of the generator."""

import dataclasses
import json
import os

import golden_cases as golden
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stylehead.errors import JobError, MissingError, StyleheadError, UsageError
from stylehead.generator import (
    GeneratorConfig,
    PanoHead,
    RenderingConfig,
    SuperresolutionConfig,
    trainable_parameters,
)
from stylehead.geometry import conditioning_camera, turntable


def on_meta(config):
    with torch.device("meta"):
        return PanoHead(config)


def test_full_size_names_and_shapes_are_the_published_ones():
    published = golden.document("full_state_dict")
    rows = {row["key"]: row for row in published["state_dict"] if row["key"] != "dataset_label_std"}
    generator = on_meta(GeneratorConfig.from_published(golden.document("full_config")))
    state = generator.state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == {
        key: row["shape"] for key, row in rows.items()
    }
    parameters = {name for name, _ in generator.named_parameters()}
    assert parameters == {key for key, row in rows.items() if row["kind"] == "parameter"}
    assert sum(parameter.numel() for parameter in generator.parameters()) == 53_741_548
    assert len(state) == 295


def test_named_sizes():
    assert GeneratorConfig.full() == GeneratorConfig.from_published(golden.document("full_config"))
    assert GeneratorConfig.tiny() == GeneratorConfig.from_published(golden.document("tiny_config"))
    assert (GeneratorConfig.full().num_ws, GeneratorConfig.full().num_ws_background) == (14, 12)
    assert (GeneratorConfig.tiny().num_ws, GeneratorConfig.tiny().num_ws_background) == (8, 6)
    assert GeneratorConfig.mini().num_ws == 10


configurations = st.builds(
    lambda size, first, depth, samples, **rendering: dataclasses.replace(
        GeneratorConfig.tiny(),
        img_resolution=first * 4,
        superresolution=SuperresolutionConfig(
            input_resolution=first, block0_out_channels=8, block1_out_channels=4
        ),
        rendering=RenderingConfig(
            triplane_size=size, triplane_depth=depth, depth_resolution=samples, **rendering
        ),
    ),
    size=st.sampled_from([4, 8, 32]),
    first=st.sampled_from([4, 16]),
    depth=st.integers(1, 5),
    samples=st.integers(4, 9),
    use_background=st.booleans(),
    c_gen_conditioning_zero=st.booleans(),
    decoder_activation=st.sampled_from(["none", "sigmoid", "lrelu"]),
    ray_start=st.just("auto"),
    ray_end=st.just("auto"),
)


@given(configurations)
@settings(deadline=None)
def test_configuration_survives_json(config):
    assert GeneratorConfig.from_json(config.to_json()) == config
    assert GeneratorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("config", [GeneratorConfig.tiny(), GeneratorConfig.mini()])
@torch.no_grad()
def test_sizes_of_what_comes_out(config):
    generator = PanoHead(config)
    z = torch.zeros(1, config.z_dim)
    out = generator(z, turntable(1))
    edge, raw = config.img_resolution, config.neural_rendering_resolution
    assert out.image.shape == (1, 3, edge, edge)
    assert out.image_raw.shape == (1, 3, raw, raw)
    assert out.depth.shape == out.mask.shape == (1, 1, raw, raw)
    assert out.mask.min() >= -0.001
    assert out.mask.max() <= 1.001 + 1e-5


@pytest.mark.parametrize("kind", ["8X", "4X", "2X"])
@torch.no_grad()
def test_other_super_resolutions(kind):
    tiny = GeneratorConfig.tiny()
    sizes = dataclasses.replace(tiny.superresolution, kind=kind)
    config = dataclasses.replace(tiny, superresolution=sizes, img_resolution=sizes.output_resolution)
    generator = PanoHead(config)
    assert "superresolution.resample_filter" in generator.state_dict()
    planes = generator.planes(torch.zeros(1, 8, 32))
    raw = generator.render_raw(planes, torch.zeros(1, 8, 32), turntable(1))
    before = raw.image_raw.clone()
    image = generator.superresolution(raw.image_raw, raw.features, torch.zeros(1, 8, 32))
    assert image.shape[-1] == (64 if kind == "8X" else 32)
    assert torch.equal(raw.image_raw, before)


def test_options_that_make_no_sense_are_refused():
    tiny = GeneratorConfig.tiny()
    with pytest.raises(UsageError, match="img_resolution"):
        dataclasses.replace(tiny, img_resolution=100)
    with pytest.raises(UsageError, match="power of two"):
        dataclasses.replace(tiny, rendering=RenderingConfig(triplane_size=48))
    with pytest.raises(UsageError, match="both"):
        RenderingConfig(ray_start="auto")
    with pytest.raises(UsageError, match="decoder_activation"):
        RenderingConfig(decoder_activation="tanh")
    with pytest.raises(UsageError, match="`spheres` is not an option"):
        GeneratorConfig.from_dict({**tiny.to_dict(), "spheres": 3})


def test_network_without_background_has_none_of_it():
    config = GeneratorConfig.mini()
    generator = on_meta(config)
    assert not [key for key in generator.state_dict() if key.startswith("bcg_synthesis")]
    small = PanoHead(
        dataclasses.replace(
            GeneratorConfig.tiny(),
            rendering=dataclasses.replace(GeneratorConfig.tiny().rendering, use_background=False),
        )
    )
    with pytest.raises(UsageError, match="no background network"):
        small.synthesis(torch.zeros(1, 8, 32), turntable(1), background=True)


def test_ignored_camera_does_not_matter():
    rendering = dataclasses.replace(GeneratorConfig.tiny().rendering, c_gen_conditioning_zero=True)
    generator = PanoHead(dataclasses.replace(GeneratorConfig.tiny(), rendering=rendering))
    z = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    front, side = conditioning_camera(), turntable(4)[1:2]
    assert torch.equal(generator.mapping(z, front), generator.mapping(z, side))
    moved = generator.offset_camera(z, side)
    assert torch.equal(moved[:, :3], side[:, :3])  # the pose itself is kept


def test_fresh_network_leaves_cameras_in_place():
    generator = PanoHead(GeneratorConfig.tiny())
    label = turntable(3)
    z = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(generator.offset_camera(z, label), label)


def test_what_distillation_trains(tiny):
    names = [name for name, _ in trainable_parameters(tiny)]
    assert "backbone.synthesis.b4.const" in names
    assert "superresolution.block1.torgb.weight" in names
    assert "backbone.synthesis.b8.conv0.affine.weight" in names
    assert not [name for name in names if name.endswith(".bias")]
    assert {name.split(".")[0] for name in names} == {"backbone", "superresolution"}
    assert not [name for name in names if name.startswith("backbone.mapping")]


def test_saved_file_gives_the_same_network(tiny, ws, tmp_path):
    path = tmp_path / "generator.safetensors"
    tiny.save(path, {"note": "a test"})
    loaded = PanoHead.load(path)
    assert loaded.config == tiny.config
    assert loaded.fingerprint() == tiny.fingerprint()
    assert not loaded.training
    with torch.no_grad():
        a, b = (g.synthesis(ws[:1], turntable(1), background=True) for g in (tiny, loaded))
    assert torch.equal(a.image, b.image)
    with safe_open(path, framework="pt") as opened:
        assert opened.metadata()["note"] == "a test"
    assert os.listdir(tmp_path) == ["generator.safetensors"]


def test_half_precision_files_are_read_in_single_precision(tiny, tmp_path):
    path, half = tmp_path / "a.safetensors", tmp_path / "half.safetensors"
    tiny.save(path)
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    save_file({key: tensor.half() for key, tensor in load_file(path).items()}, half, metadata)
    loaded = PanoHead.load(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_published_weights_load_with_their_training_statistics(tmp_path):
    path = tmp_path / "published.safetensors"
    save_file(golden.tensors("tiny_weights"), path)
    with pytest.raises(JobError, match="header has no configuration"):
        PanoHead.load(path)
    loaded = PanoHead.load(path, config=golden.tiny_config())
    assert loaded.fingerprint() == golden.tiny().fingerprint()


def damaged(tiny, path, change):
    tiny.save(path)
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: t.pop("torgb.bias"), "has no tensor `torgb.bias`"),
        (lambda t, m: t.update(extra=torch.ones(1)), "has a tensor `extra`"),
        (
            lambda t, m: t.update({"torgb.bias": torch.ones(4)}),
            r"`torgb.bias` in .* has shape \[4\], not \[3\]",
        ),
        (lambda t, m: t["torgb.bias"].fill_(torch.nan), "`torgb.bias` in .* not finite"),
        (lambda t, m: t["backbone.synthesis.b8.resample_filter"].zero_(), "resample_filter"),
        (lambda t, m: m.update({"stylehead.config": "{"}), "configuration in the header"),
        (lambda t, m: m.update({"stylehead.config": '{"w_dim": "many"}'}), "configuration in the header"),
        (lambda t, m: m.update({"stylehead.format": "style-1"}), "holds `style-1`"),
    ],
)
def test_wrong_files_are_refused_by_name(tiny, tmp_path, change, message):
    path = tmp_path / "wrong.safetensors"
    damaged(tiny, path, change)
    with pytest.raises(JobError, match=message) as caught:
        PanoHead.load(path)
    assert "wrong.safetensors" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty or cut short"),
        (b"garbage", "is empty or cut short"),
        (b"\xff" * 64, "is no safetensors file, or its beginning is damaged"),
    ],
)
def test_garbage_is_refused(tmp_path, content, words):
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(content)
    with pytest.raises(JobError, match=words):
        PanoHead.load(path)


def test_truncated_files_are_refused(tiny, tmp_path):
    path = tmp_path / "short.safetensors"
    tiny.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(JobError, match="damaged"):
        PanoHead.load(path)


def test_missing_files_are_missing(tmp_path):
    with pytest.raises(MissingError, match="no file"):
        PanoHead.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(StyleheadError):
        PanoHead.load(tmp_path)


def test_failed_write_leaves_the_old_file(tiny, tmp_path):
    path = tmp_path / "generator.safetensors"
    tiny.save(path)
    before = path.read_bytes()
    with pytest.raises(JobError, match="`seed`"):
        tiny.save(path, {"seed": 3})
    assert path.read_bytes() == before
    with pytest.raises(JobError, match="Cannot write"):
        tiny.save(path / "in a file" / "generator.safetensors")
    assert os.listdir(tmp_path) == ["generator.safetensors"]


def test_fingerprint_follows_every_weight():
    generator = golden.tiny()
    first = generator.fingerprint()
    assert generator.fingerprint() == first
    with torch.no_grad():
        generator.decoder.get_parameter("net.2.bias")[0] += 1
    second = generator.fingerprint()
    assert second != first
    with torch.no_grad():
        generator.decoder.get_parameter("net.2.bias")[0] -= 1
    assert generator.fingerprint() == first
    generator.load_state_dict({key: value + 1 for key, value in generator.state_dict().items()})
    assert generator.fingerprint() not in (first, second)
