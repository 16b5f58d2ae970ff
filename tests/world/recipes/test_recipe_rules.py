import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stylehead.generator.backbone import MappingNetwork
from stylehead.generator.layers import FullyConnected
from stylehead.inversion.identity_to_w import IdentityToW
from stylehead.world.heads import VECTOR_FIELDS
from stylehead.world.heads.identity import numbers_from_z
from stylehead.world.recipes.rules import Affine, Writer, least_squares, stacked, write_mapping

WIDTH = 40


def said_by_a_layer(write, values):
    """What a written layer says of values [B,N], read as the writer says it has to be read."""
    layer = FullyConnected(values.shape[1], WIDTH, activation="lrelu")
    with torch.no_grad():
        read = write(Writer(layer), Affine(torch.eye(values.shape[1]), torch.zeros(values.shape[1])))
        return read.of(layer(values))


@given(st.lists(st.floats(-5.5, 50), min_size=1, max_size=8))
def test_what_is_kept_passes_and_what_is_positive_remains(numbers):
    values = torch.tensor([numbers])
    assert torch.allclose(said_by_a_layer(Writer.kept, values), values, atol=1e-4)
    assert torch.allclose(said_by_a_layer(Writer.positive, values), values.clamp(min=0), atol=1e-4)
    assert torch.allclose(
        said_by_a_layer(Writer.bent, values), nn.functional.leaky_relu(values, 0.2), atol=1e-4
    )


@given(st.floats(-4, 4))
def test_a_step_goes_from_nothing_to_one(number):
    step = float(said_by_a_layer(Writer.step, torch.tensor([[number]])))
    if abs(number) >= 1 / 16:
        assert step == pytest.approx(float(number > 0), abs=1e-4)
    assert -1e-4 <= step <= 1.0001


def test_parts_of_a_layer_do_not_mix_and_use_no_more_than_their_rows():
    layer = FullyConnected(3, WIDTH, activation="lrelu")
    writer, inputs = Writer(layer), Affine(torch.eye(3), torch.zeros(3))
    values = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both = stacked(writer.kept(inputs), writer.positive(inputs[[2]]))
        assert writer.left == WIDTH - 5
        mixtures = writer.anything(inputs, values, torch.Generator().manual_seed(1), rows=7)
        assert writer.left == WIDTH - 12
        said = layer(values)
        assert torch.allclose(both.of(said), torch.cat([values, values[:, 2:].clamp(min=0)], 1), atol=1e-5)
        assert mixtures.of(said).std(dim=0).min() > 0.1
        assert (layer.weight[12:] == 0).all()


def test_least_squares_finds_a_mixture_that_is_there():
    rng = torch.Generator().manual_seed(0)
    said = torch.randn(200, 6, generator=rng)
    functions = Affine(torch.randn(4, 6, generator=rng), torch.randn(4, generator=rng))
    mixing, offset = torch.randn(2, 4, generator=rng), torch.randn(2, generator=rng)
    wanted = functions.then(mixing, offset)
    found = least_squares(functions, said, wanted.of(said), ridge=1e-9)
    assert torch.allclose(found.of(said), wanted.of(said), atol=1e-4)


@pytest.mark.parametrize("more", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_written_mapping_is_near_to_the_network_that_it_replaces(more):
    torch.manual_seed(0)
    z = np.random.RandomState(1).randn(500, 64)
    numbers = torch.from_numpy(numbers_from_z(z))
    network = IdentityToW(numbers, w_dim=32)
    mapping = MappingNetwork(
        64, c_dim=25, w_dim=32, num_ws=3, num_layers=8 + more, lr_mul=1.0, layer_features=512
    )
    write_mapping(mapping, network, numbers_from_z, people=4000)
    with torch.no_grad():
        wanted, ws = network(numbers), mapping(torch.from_numpy(z).float(), torch.randn(500, 25))
    missed = (ws[:, 0] - wanted).square().sum() / (wanted - wanted.mean(dim=0)).square().sum()
    assert missed < 0.12


def test_what_the_rules_say_of_a_person_is_so():
    """A network that passes the numbers through lets the mapping be read; mean squares of 1 are guesses."""
    z = np.random.RandomState(1).randn(1000, 64)
    numbers = torch.from_numpy(numbers_from_z(z))
    network = IdentityToW(numbers, w_dim=128)
    with torch.no_grad():
        network.skip.weight.copy_(torch.eye(128))
        network.layers[-1].weight.zero_()
    mapping = MappingNetwork(64, c_dim=25, w_dim=128, num_ws=1, num_layers=8, lr_mul=1.0, layer_features=512)
    write_mapping(mapping, network, numbers_from_z, people=4000)
    with torch.no_grad():
        missed = mapping(torch.from_numpy(z).float(), torch.zeros(1000, 25))[:, 0] - network(numbers)
    sizes = [field.size for field in VECTOR_FIELDS]
    squares = (part.square().mean() for part in missed.split(sizes, dim=1))
    found = {field.name: float(square) for field, square in zip(VECTOR_FIELDS, squares, strict=True)}
    limits = {"hair": 0.045, "beard": 0.1, "glasses": 0.06, "shirt": 0.04}  # ramps, not steps
    limits |= {"face_shape": 0.002, "age": 0.005, "light": 0.005, "beard_length": 0.02, "shirt_colour": 0.15}
    limits |= {"ancestry": 0.08, "melanin": 0.06, "hair_colour": 0.2, "grey": 0.15, "eye_colour": 0.3}
    assert {name: found[name] for name in limits if found[name] > limits[name]} == {}


def test_a_mapping_that_is_too_small_is_refused():
    mapping = MappingNetwork(64, c_dim=25, w_dim=32, num_ws=3, num_layers=6, lr_mul=1.0)
    with pytest.raises(ValueError, match="8 layers of 512"):
        write_mapping(mapping, IdentityToW(torch.rand(9, 128), w_dim=32), numbers_from_z, people=10)
