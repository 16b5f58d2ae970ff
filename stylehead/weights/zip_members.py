"""The files in an uncompressed zip archive, as windows on the archive's own bytes.

torch never compresses, so an archive cannot grow when it is read; one that claims otherwise is refused.
"""

import struct

from stylehead.weights.pickle_machine import Refused

_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_END_SIGNATURE, _ENTRY_SIGNATURE, _LOCAL_SIGNATURE = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_LONGEST_COMMENT = 65_535
_MOST_FILES = 10_000


def zip_members(data: memoryview) -> dict[str, memoryview]:
    """Find the files in an archive.

    Args:
        data: The whole archive, at most 4 GB.

    Returns:
        Their bytes by name; nothing is copied.

    Raises:
        Refused: It is damaged, compressed, encrypted, or its files overlap.
    """
    position, count = _directory(data)
    found: dict[str, memoryview] = {}
    total = 0
    for _ in range(count):
        signature, *fields = _ENTRY.unpack(_slice(data, position, _ENTRY.size))
        flags, method, packed, size = fields[2], fields[3], fields[7], fields[8]
        name_length, extra_length, comment_length, offset = fields[9], fields[10], fields[11], fields[15]
        if signature != _ENTRY_SIGNATURE:
            raise Refused("it is a damaged zip file")
        if method != 0 or packed != size or flags & 1:
            raise Refused("it is a compressed zip file, which torch never writes")
        name = bytes(_slice(data, position + _ENTRY.size, name_length)).decode("utf-8", "replace")
        if name in found:
            raise Refused("it is a zip file with two files of one name")
        found[name] = _content(data, offset, size)
        total += size
        position += _ENTRY.size + name_length + extra_length + comment_length
    if total > len(data):
        raise Refused("it is a zip file whose files overlap")
    return found


def _directory(data: memoryview) -> tuple[int, int]:
    """Where the table of contents starts, and how many files it lists."""
    tail_start = max(0, len(data) - _END.size - _LONGEST_COMMENT)
    place = bytes(data[tail_start:]).rfind(_END_SIGNATURE)
    if place < 0:
        raise Refused("it is a zip file that is cut short")
    end = _END.unpack(_slice(data, tail_start + place, _END.size))
    count, offset = end[4], end[6]
    if count > _MOST_FILES:
        raise Refused("it is a zip file with far too many files in it")
    return offset, count


def _content(data: memoryview, offset: int, size: int) -> memoryview:
    header = _LOCAL.unpack(_slice(data, offset, _LOCAL.size))
    if header[0] != _LOCAL_SIGNATURE:
        raise Refused("it is a damaged zip file")
    name_length, extra_length = header[9], header[10]
    return _slice(data, offset + _LOCAL.size + name_length + extra_length, size)


def _slice(data: memoryview, start: int, length: int) -> memoryview:
    if start + length > len(data):
        raise Refused("it is a zip file that is cut short")
    return data[start : start + length]
