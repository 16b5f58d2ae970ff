"""ONNX models are told from other files and from half downloads."""

from pathlib import Path

import pytest

from stylehead.weights.onnx_files import is_onnx

SMALL = b"\x08\x08" + b"\x12\x05tests" + b"\x3a\x03abc" + b"\x42\x02\x10\x11"
"""A version, a producer, a graph of three bytes and an operator set."""


def write_real_model(path: Path) -> Path:
    """What the library of the format writes."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", value[:1], value[1:])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_model_of_the_library_is_one(tmp_path: Path) -> None:
    path = write_real_model(tmp_path / "a.onnx")
    assert is_onnx(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not is_onnx(path) or length > 40  # a cut between two fields after the graph cannot be seen


@pytest.mark.parametrize("junk", [b"", b"x", b"x" * 100, b"<html>", b"\xff" * 50, SMALL[:-1], b"\x08\x08"])
def test_other_files_are_none(junk: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(junk)
    assert not is_onnx(tmp_path / "a.onnx")


def test_the_smallest_message_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(SMALL)
    assert is_onnx(tmp_path / "a.onnx")
