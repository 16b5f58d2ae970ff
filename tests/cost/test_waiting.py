"""How often an iteration would make a graphics card wait, counted on paper at full size."""

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from stylehead.cost import Blueprint
from stylehead.cost.estimate import _on_paper
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.memory import TIERS
from stylehead.methods import records
from stylehead.methods.config import StylizeConfig, profile
from stylehead.perception.depth import DepthEstimator
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder
from stylehead.perception.image_text import Clip
from stylehead.teacher import conditions
from stylehead.teacher.on_paper import teacher_on_paper
from stylehead.teacher.shapes import STABLE_DIFFUSION_15, depth_skeleton

MOST = 5
READS = ("_local_scalar_dense", "nonzero", "unique_consecutive", "_unique2", "masked_select", "bincount")
CHECKED = ("linalg_eigh", "_linalg_eigh", "linalg_svd", "_linalg_svd")
"""Decompositions, which ask the card whether they came out well."""


class Uploads(TorchFunctionMode):
    """Notes numbers and indices in Python that become tensors on the device: no operation shows them."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("tensor", "as_tensor", "new_tensor", "from_numpy", "asarray"):
            self._note(out, name)
        elif name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, list | tuple | range) for part in index):
                self._note(args[0], "indices")
        return out

    def _note(self, tensor: torch.Tensor, what: str) -> None:
        if tensor.is_meta:
            self.found.append(f"upload by {what}")


class Waits(TorchDispatchMode):
    """Notes every operation for which the host waits for the device, or blocks to copy something to it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func._overloadpacket.__name__
        tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
        on_device = any(tensor.is_meta for tensor in tensors)
        made = isinstance(out, torch.Tensor) and out.is_meta
        if name in ("_to_copy", "copy_") and on_device != made and not kwargs.get("non_blocking"):
            self.found.append(f"{name} between host and device")
        elif name in (*READS, *CHECKED) and on_device:
            self.found.append(name)
        return out


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """A counter that also knows of the places where data leave torch, which do nothing on paper."""
    found = Waits()

    def noting(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def noted(*args: Any, **options: Any) -> Any:
            found.found.append(name)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, noted)

    noting(records, "_read")
    noting(conditions, "_edges")
    from stylehead.methods import nada

    noting(nada, "_largest")
    return found


@pytest.fixture(scope="module")
def networks() -> Blueprint:
    """Everything at the published size."""
    with torch.device("meta"):
        generator = PanoHead(GeneratorConfig.full()).eval()
        faces = IdentityEncoder().eval().requires_grad_(False)
        features = ImageTextEncoder().eval().requires_grad_(False).trunk.maps
    return Blueprint(
        generator,
        teacher_on_paper(dict.fromkeys(STABLE_DIFFUSION_15), torch.float16),
        DepthEstimator(depth_skeleton().half()),
        image_text=Clip.on_paper(None),
        faces=faces,
        features=features,
        device="cuda",
    )


SLOW = [
    ("ld", "paper"), ("ld", "release"), ("sds", "default"), ("csd", "default"), ("styleclip", "default"),
    ("diffusiongan3d", "default"), ("edit", "default"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("ld", "default"),
        pytest.param("nada", "default", marks=pytest.mark.slow),
        pytest.param("styleganfusion", "default", marks=pytest.mark.slow),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW),
    ],
)
def test_an_iteration_waits_a_few_times_only(
    networks: Blueprint, waits: Waits, method: str, name: str
) -> None:
    config = StylizeConfig.from_dict({"prompt": "a", **profile(name, method=method)})
    stylizer = _on_paper(networks, config, TIERS["24"])
    stylizer.method.rehearse(stylizer.reference)
    stylizer.step()  # constants are uploaded once
    waits.found.clear()
    with waits, Uploads(waits.found):
        stylizer.step()
    assert len(waits.found) <= MOST, waits.found
    assert "_read" in waits.found


def test_the_counter_sees_what_it_is_for(waits: Waits) -> None:
    device = torch.empty(4, 4, device="meta")
    deliberate = {
        "upload by tensor": lambda: torch.tensor([1.0], device="meta"),
        "upload by new_tensor": lambda: device.new_tensor((1.0, 2.0)),
        "upload by indices": lambda: device[..., (0, 1)],
        "_to_copy between host and device": lambda: torch.ones(2).to("meta"),
        "_linalg_eigh": lambda: torch.linalg.eigh(device),
        "_edges": lambda: conditions.canny_condition(torch.empty(1, 3, 8, 8, device="meta")),
    }
    with waits, Uploads(waits.found):
        for work in deliberate.values():
            work()
        assert waits.found == list(deliberate)
        torch.ones(2).to("meta", non_blocking=True)
        torch.where(device > 0, device, 1.0)[1:, None]
        torch.tensor([1.0])
    assert waits.found == list(deliberate)
