"""LPIPS in plain PyTorch gives the numbers of the published program, over torchvision's trunks."""

import json
from pathlib import Path

import pytest
import torch
from lpips_seeded import CHANNELS, seeded_heads, seeded_pictures, seeded_trunk
from safetensors.torch import save_file
from torch import Tensor

from stylehead.errors import JobError, UsageError
from stylehead.methods.losses import perceptual_loss
from stylehead.perception.lpips import Lpips

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden" / "lpips.json").read_text())
"""Made with the published program over torchvision's trunks, in an environment of matching versions."""


def write(folder: Path, name: str, *, legacy: bool = False) -> tuple[Path, Path]:
    """Write trunk and heads as the published files are: torch's formats, the trunk with its classifier."""
    trunk = seeded_trunk(name) | {"classifier.1.weight": torch.ones(3, 4)}
    for path, state in ((folder / "trunk.pth", trunk), (folder / "heads.pth", seeded_heads(name))):
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return folder / "trunk.pth", folder / "heads.pth"


@pytest.fixture(scope="module", params=["alex", "vgg"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lpips:
    return Lpips.load(request.param, *write(tmp_path_factory.mktemp("lpips"), request.param))


@pytest.mark.parametrize("size", [64, 97, 128])
def test_distances_and_gradients_are_those_of_the_published_program(network: Lpips, size: int) -> None:
    golden = GOLDEN["distances"][f"{network.name} {size}"]
    first, second = seeded_pictures(size)
    first.requires_grad_()
    total = network.distance(first, second)
    layers = [layer.mean(dim=(1, 2)) for layer in network.distances(network(first), network(second))]
    for layer, expected in zip(layers, golden["layers"], strict=True):
        assert torch.allclose(layer, torch.tensor(expected), rtol=2e-5)
    assert torch.allclose(total, torch.tensor(golden["total"]), rtol=2e-5)
    total.sum().backward()
    assert first.grad is not None
    assert torch.allclose(first.grad.flatten(1).norm(dim=1), torch.tensor(golden["gradient_norm"]), rtol=1e-4)


def slowly(network: Lpips, one: Tensor, other: Tensor) -> float:
    """The definition for one pair of pictures, position by position in double precision."""
    total = 0.0
    for a, b, head in zip(network(one[None]), network(other[None]), network.heads, strict=True):
        a, b = a[0].double().flatten(1), b[0].double().flatten(1)
        for place in range(a.shape[1]):
            difference = a[:, place] / a[:, place].norm() - b[:, place] / b[:, place].norm()
            total += float((head.double() * difference**2).sum()) / a.shape[1]
    return total


def test_it_is_the_definition() -> None:
    network = Lpips("alex")
    for index in range(5):
        network.heads[index].data.copy_(torch.rand(CHANNELS["alex"][index]))
    first, second = seeded_pictures(70)
    with torch.no_grad():
        for one, other, fast in zip(first, second, network.distance(first, second), strict=True):
            assert float(fast) == pytest.approx(slowly(network, one, other), rel=1e-5)


def test_it_is_a_distance(network: Lpips) -> None:
    first, second = seeded_pictures(64)
    with torch.no_grad():
        assert torch.equal(network.distance(first, first), torch.zeros(2))
        assert torch.allclose(network.distance(first, second), network.distance(second, first), rtol=1e-6)
        halfway = network.distance(first, first.lerp(second, 0.3))
    assert (halfway > 0).all()
    assert (halfway < network.distance(first, second)).all()


def test_plain_pictures_have_finite_gradients(network: Lpips) -> None:
    plain = torch.full((1, 3, 64, 64), -1.0, requires_grad=True)
    network.distance(plain, seeded_pictures(64)[0][:1]).sum().backward()
    assert plain.grad is not None
    assert plain.grad.isfinite().all()


def test_the_perceptual_loss_uses_its_weights(network: Lpips) -> None:
    first, second = seeded_pictures(64)
    loss = perceptual_loss(first, second, network)
    assert float(loss) == pytest.approx(float(network.distance(first, second).mean()), rel=1e-6)
    assert float(loss) != pytest.approx(float(perceptual_loss(first, second, network.forward)), rel=0.1)


@pytest.mark.parametrize("legacy", [False, True])
def test_it_is_frozen_and_read_from_both_of_torch_s_formats(legacy: bool, tmp_path: Path) -> None:
    network = Lpips.load("alex", *write(tmp_path, "alex", legacy=legacy))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(network.features["10"].weight, seeded_trunk("alex")["features.10.weight"])


def test_other_files_are_refused(tmp_path: Path) -> None:
    trunk, heads = write(tmp_path, "vgg")
    with pytest.raises(JobError, match="are not those of LPIPS-alex"):
        Lpips.load("alex", trunk, heads)
    save_file({"lin0.model.1.weight": torch.ones(1, 64, 1, 1)}, tmp_path / "few.safetensors")
    with pytest.raises(JobError, match=r"are not those of LPIPS-vgg: 'lin1\.model\.1\.weight'"):
        Lpips.load("vgg", trunk, tmp_path / "few.safetensors")
    with pytest.raises(UsageError, match="does not exist"):
        Lpips.load("vgg", tmp_path / "none.pth", heads)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(JobError, match="nothing in it was run"):
        Lpips.load("vgg", tmp_path / "module.pth", heads)
