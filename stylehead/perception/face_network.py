"""ArcFace with gradients: the recogniser of an insightface pack, which PyTorch computes node by node.

insightface itself embeds faces without gradients, which is right for measuring. To keep who is in a picture
while a generator learns, gradients must come back to the picture, so the graph in the pack's file is walked.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.images import resize

SIZE = 112
"""Edge in pixels of what the recognisers see."""
LEFT, TOP, EDGE = 0.205, 0.223, 0.590
"""The square around the face in a picture of the generator, in edges of the picture.

Where the recognisers' template has eyes, nose and mouth, the mean head seen from the front has them then, to
2 of the 112 pixels. It stays there when heads turn, as StyleCLIP's does (arXiv 2103.17249, identity loss).
"""
_FIRST = 8  # nodes among which recognisers that scale pictures themselves have a Sub and a Mul


class _Node(NamedTuple):
    """A step of the graph: its kind, the names of what goes in and comes out, and its settings."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    settings: Mapping[str, Any]


class FaceNetwork(nn.Module):
    """Embeds the face in pictures of the generator, differentiably.

    Args:
        nodes: The graph, in the order of computing.
        numbers: What it has learned, by name.
        name_in: What the graph calls the picture.
    """

    def __init__(self, nodes: tuple[_Node, ...], numbers: Mapping[str, Tensor], name_in: str) -> None:
        super().__init__()
        self._nodes, self._name_in = nodes, name_in
        self._places = {name: f"number_{index}" for index, name in enumerate(numbers)}
        for name, place in self._places.items():
            self.register_buffer(place, numbers[name])
        kinds = [node.kind for node in nodes[:_FIRST]]
        self._takes_bytes = "Sub" in kinds and "Mul" in kinds

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "FaceNetwork":
        """Load the recogniser of a pack such as buffalo_l; nothing is downloaded.

        Raises:
            MissingError: The folder is not there.
            JobError: It holds no recogniser, or one that computes in another way.
        """
        files = sorted(folder.glob("*.onnx"), key=_rank)
        if not files:
            hint = "stylehead weights fetch insightface-buffalo_l"
            raise MissingError(f"There are no face models in {folder}.", hint)
        for file in files:
            graph = _graph(file)
            if _sees(graph) == [3, SIZE, SIZE]:
                return cls(*_parts(graph, file)).to(device).eval()
        raise JobError(f"{folder} holds no face models that recognise people.")

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Map pictures [B, 3, R, R] in -1..1 to unit vectors [B, D]."""
        top, left, edge = (round(share * image_pm1.shape[-1]) for share in (TOP, LEFT, EDGE))
        face = resize(image_pm1[..., top : top + edge, left : left + edge], SIZE)
        return self.embed((face + 1) * 127.5 if self._takes_bytes else face)

    def embed(self, face: Tensor) -> Tensor:
        """Map faces [B, 3, 112, 112], as the recogniser was trained on them, to unit vectors [B, D]."""
        values = {name: getattr(self, place) for name, place in self._places.items()} | {self._name_in: face}
        for node in self._nodes:
            arguments = [values[name] for name in node.inputs]
            values[node.output] = _STEPS[node.kind](node.settings, *arguments)
        return functional.normalize(values[self._nodes[-1].output], dim=1)


def _rank(file: Path) -> tuple[bool, str]:
    """Recognisers first: packs hold detectors and landmarks, too, and all are large."""
    return not file.name.startswith(("w600k", "glintr")), file.name


def _graph(file: Path) -> Any:
    import onnx

    try:
        return onnx.load(str(file), load_external_data=False).graph
    except Exception as error:  # whatever the reader of protocol buffers raises
        raise JobError(f"{file} is damaged or no ONNX model.", "stylehead weights verify") from error


def _sees(graph: Any) -> list[int]:
    """Shape of a picture that a graph takes."""
    learned = {number.name for number in graph.initializer}
    (picture, *_) = [value for value in graph.input if value.name not in learned]
    return [size.dim_value for size in picture.type.tensor_type.shape.dim][1:]


def _parts(graph: Any, file: Path) -> tuple[tuple[_Node, ...], dict[str, Tensor], str]:
    from onnx import TensorProto, numpy_helper

    if any(one.data_location == TensorProto.EXTERNAL for one in graph.initializer):
        raise JobError(f"{file} keeps its numbers in other files, which are not read.")
    nodes = tuple(_nodes(graph))
    strange = sorted({node.kind for node in nodes} - set(_STEPS))
    if strange:
        raise JobError(f"{file} computes with `{strange[0]}`, which is not known of face recognisers.")
    numbers = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
    (name_in, *_) = [value.name for value in graph.input if value.name not in numbers]
    return nodes, numbers, name_in


def _nodes(graph: Any) -> Iterator[_Node]:
    from onnx import helper

    for node in graph.node:
        settings = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        yield _Node(node.op_type, tuple(name for name in node.input if name), node.output[0], settings)


def _convolve(settings: Mapping[str, Any], x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    top, left, bottom, right = settings.get("pads", (0, 0, 0, 0))
    return functional.conv2d(
        functional.pad(x, (left, right, top, bottom)),
        weight,
        bias,
        stride=tuple(settings.get("strides", (1, 1))),
        dilation=tuple(settings.get("dilations", (1, 1))),
        groups=settings.get("group", 1),
    )


def _standardise(settings: Mapping[str, Any], x: Tensor, *learned: Tensor) -> Tensor:
    scale, shift, mean, variance = learned
    return functional.batch_norm(x, mean, variance, scale, shift, eps=settings.get("epsilon", 1e-5))


def _multiply(settings: Mapping[str, Any], x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight if settings.get("transB", 0) else weight.t(), bias)


_STEPS: dict[str, Callable[..., Tensor]] = {
    "Conv": _convolve,
    "BatchNormalization": _standardise,
    "Gemm": _multiply,
    "PRelu": lambda _, x, slope: torch.where(x > 0, x, x * slope),
    "Relu": lambda _, x: x.relu(),
    "Add": lambda _, a, b: a + b,
    "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b,
    "Flatten": lambda settings, x: x.flatten(settings.get("axis", 1)),
    "Dropout": lambda _, x, *__: x,
    "Identity": lambda _, x: x,
}
"""What the networks of the packs compute with."""
