"""Telling an ONNX model from other files, without reading its numbers."""

import mmap
from pathlib import Path

_GRAPH = 7
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


def is_onnx(path: Path) -> bool:
    """Whether a file is, from its first to its last byte, a message with a graph, as ONNX models are.

    ONNX files are protocol buffers: fields one after the other, each with its number and its length. The
    lengths must add up to the file's, so that a download that broke off is found too.
    """
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position, graphs = 0, 0
        while position < len(data):
            tag, position = _number(data, position)
            end = _end_of_field(data, tag & 7, position)
            if end is None or end > len(data):
                return False
            graphs += tag >> 3 == _GRAPH and tag & 7 == _COUNTED
            position = end
        return graphs == 1


def _number(data: mmap.mmap, position: int) -> tuple[int, int]:
    """A number in seven bits a byte, and where the next one starts; beyond the file when it does not end."""
    value = 0
    for index, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    return value, len(data) + 1


def _end_of_field(data: mmap.mmap, kind: int, position: int) -> int | None:
    if kind == _VARINT:
        return _number(data, position)[1]
    if kind == _COUNTED:
        length, start = _number(data, position)
        return start + length
    return {_EIGHT_BYTES: position + 8, _FOUR_BYTES: position + 4}.get(kind)
