"""A recogniser of faces as those of insightface's packs, of a few thousand random numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 112
"""Edge in pixels of the faces that it takes."""


def write_recogniser(path: Path, *, size: int = SIZE, scales: bool = False, last: str = "Gemm") -> Path:
    """Write a small residual network with the steps of those in the packs, and random numbers."""
    rng = np.random.default_rng(0)
    numbers: dict[str, Any] = {}

    def number(name: str, *shape: int, least: float | None = None) -> str:
        drawn = rng.standard_normal(shape) * 0.3
        numbers[name] = (drawn if least is None else np.abs(drawn) + least).astype(np.float32)
        return name

    def norm(name: str, x: str, width: int) -> Any:
        learned = [number(f"{name}.{part}", width) for part in ("scale", "shift", "mean")]
        learned.append(number(f"{name}.var", width, least=0.5))
        return helper.make_node("BatchNormalization", [x, *learned], [name], epsilon=1e-4)

    def conv(name: str, x: str, width: int, seen: int, **settings: Any) -> Any:
        inputs = [x, number(f"{name}.w", width, seen, 3, 3), number(f"{name}.b", width)]
        return helper.make_node("Conv", inputs, [name], kernel_shape=[3, 3], pads=[1, 1, 1, 1], **settings)

    nodes, x = [], "picture"
    if scales:
        numbers["half"] = np.array([127.5], np.float32)
        numbers["over"] = np.array([1 / 128], np.float32)
        nodes = [
            helper.make_node("Sub", [x, "half"], ["centred"]),
            helper.make_node("Mul", ["centred", "over"], ["scaled"]),
        ]
        x = "scaled"
    nodes += [
        conv("a", x, 4, 3, strides=[4, 4]),
        helper.make_node("PRelu", ["a", number("slope", 4, 1, 1)], ["b"]),
        norm("c", "b", 4),
        conv("d", "c", 4, 4, strides=[1, 1]),
        helper.make_node("Add", ["d", "b"], ["e"]),
        conv("f", "e", 2, 4, strides=[4, 4]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node(last, ["g", number("w", 8, 98), number("bias", 8)], ["h"], transB=1)
        if last == "Gemm"
        else helper.make_node(last, ["g"], ["h"]),
        norm("out", "h", 8),
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [None, 3, size, size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 8])],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    path.parent.mkdir(exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, str(path))
    return path
