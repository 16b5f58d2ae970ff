"""The table of names and shapes is that of the network itself, whatever the configuration."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.architecture import GeneratorConfig, RenderingConfig, SuperresolutionConfig, state_shapes
from stylehead.errors import UsageError
from stylehead.generator import PanoHead


def shapes_of_the_network(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in PanoHead(config).state_dict().items()}


superresolutions = st.builds(
    SuperresolutionConfig,
    kind=st.sampled_from(["8XDC", "8X", "4X", "2X"]),
    input_resolution=st.sampled_from([4, 8, 16, 64]),
    block0_out_channels=st.integers(1, 40),
    block1_out_channels=st.integers(1, 40),
)
renderings = st.builds(
    RenderingConfig,
    triplane_size=st.sampled_from([4, 8, 64, 256]),
    triplane_depth=st.integers(1, 5),
    use_torgb_raw=st.booleans(),
    use_background=st.booleans(),
)
configurations = st.builds(
    lambda part, rendering, **sizes: GeneratorConfig(
        img_resolution=part.output_resolution, superresolution=part, rendering=rendering, **sizes
    ),
    superresolutions,
    renderings,
    z_dim=st.integers(1, 70),
    w_dim=st.integers(1, 70),
    mapping_num_layers=st.integers(1, 9),
    mapping_layer_features=st.none() | st.integers(1, 70),
    camera_mapping_num_layers=st.integers(1, 4),
    channel_base=st.integers(256, 4000),
    channel_max=st.integers(1, 64),
)


@settings(max_examples=25, deadline=None)
@given(configurations)
def test_equals_the_network(config: GeneratorConfig) -> None:
    assert state_shapes(config) == shapes_of_the_network(config)


@pytest.mark.parametrize("config", [GeneratorConfig.full(), GeneratorConfig.mini(), GeneratorConfig.tiny()])
def test_equals_the_named_networks(config: GeneratorConfig) -> None:
    assert state_shapes(config) == shapes_of_the_network(config)


def test_a_network_without_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves no channel"):
        dataclasses.replace(GeneratorConfig.full(), channel_base=255)
    with pytest.raises(UsageError, match="leaves no channel"):
        dataclasses.replace(GeneratorConfig.tiny(), channel_base=31)


def test_clamps_are_read_as_they_are_written() -> None:
    data = {"rendering_kwargs": {"c_scale": 1.0}, "num_fp16_res": 0, "conv_clamp": 256}
    assert GeneratorConfig.from_published(data).conv_clamp == 256
    assert GeneratorConfig.from_published(data | {"conv_clamp": None}).conv_clamp is None


def test_published_options_of_the_mapping_are_read() -> None:
    data = {"mapping_kwargs": {"num_layers": 3, "layer_features": 40, "w_avg_beta": 0.9}}
    config = GeneratorConfig.from_published(data)
    assert (config.mapping_num_layers, config.mapping_layer_features) == (3, 40)
    bare = GeneratorConfig.from_published({"mapping_kwargs": {"layer_features": None}})
    assert (bare.mapping_num_layers, bare.mapping_layer_features) == (2, None)
