"""Files that want to run code, to take all memory or all time, or that are simply broken.

Every entry is the content of a file and a part of the sentence that refuses it. Code in them would leave a
mark: a file named by the environment variable `HOSTILE_MARK`.
"""

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from snapshot_writer import Persistent, child, dump, pickled_generator, random_generator

from stylehead.generator import GeneratorConfig

MARK = "HOSTILE_MARK"
COMMAND = f'touch "${MARK}"'
SNAPSHOT = (Path(__file__).parents[1] / "data" / "golden" / "tiny_snapshot_no_source.pkl").read_bytes()
PROTO4 = b"\x80\x04"


class Hostile(NamedTuple):
    """Content of a file, and what its refusal must say."""

    content: bytes
    says: str


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def named(module: str, name: str) -> bytes:
    """The instruction that names a global, in a form of all protocols."""
    return b"c" + f"{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def calling() -> dict[str, Hostile]:
    """Programs that call something."""
    shell = text(COMMAND) + b"\x85R."
    found = {
        f"os.system, protocol {version}": Hostile(
            pickle.dumps(Call(os.system, COMMAND), version), "posix.system"
        )
        for version in range(6)
    }
    evil_exec = pickle.dumps(Call(exec, f"import os; os.system({COMMAND!r})"))
    return found | {
        "exec": Hostile(evil_exec, "builtins.exec"),
        "eval": Hostile(pickle.dumps(Call(eval, "1+1")), "builtins.eval"),
        "import": Hostile(pickle.dumps(Call(__import__, "antigravity")), "builtins.__import__"),
        "getattr": Hostile(pickle.dumps(Call(getattr, 1, "real")), "builtins.getattr"),
        "subprocess": Hostile(pickle.dumps(Call(subprocess.Popen, ["touch", "x"])), "subprocess.Popen"),
        "open": Hostile(pickle.dumps(Call(io.open, "/etc/passwd")), "io.open"),
        "torch.load": Hostile(pickle.dumps(Call(torch.load, "x")), "torch.serialization.load"),
        "bytearray": Hostile(pickle.dumps(Call(bytearray, 10**12)), "builtins.bytearray"),
        "stack global": Hostile(PROTO4 + text("os") + text("system") + b"\x93" + shell, "os.system"),
        "inside of an allowed module": Hostile(
            named("torch._utils", "_rebuild_tensor_v2.__globals__") + b".", "_rebuild_tensor_v2.__globals__"
        ),
        "attribute of an allowed class": Hostile(
            PROTO4 + text("collections") + text("OrderedDict.__init__.__globals__") + b"\x93.",
            "OrderedDict.__init",
        ),
        "terminal escape in a name": Hostile(named("os", "\x1b[2Jsystem") + b".", r"os\.\?\[2Jsystem"),
        "endless name": Hostile(b"c" + b"a" * 10_000_000, "endless"),
        "long name": Hostile(PROTO4 + text("a" * 5000) + text("b") + b"\x93.", "a…"),
        "INST": Hostile(b"(ios\nsystem\n.", "INST"),
        "OBJ": Hostile(b"(" + named("os", "system") + b"o.", "os.system"),
        "OBJ of an allowed class": Hostile(b"(" + named("collections", "OrderedDict") + b"o.", "OBJ"),
        "NEWOBJ_EX": Hostile(PROTO4 + named("collections", "OrderedDict") + b")}\x92.", "NEWOBJ_EX"),
        "extension registry": Hostile(b"\x80\x02\x82\x01.", "EXT1"),
        "out-of-band buffer": Hostile(b"\x80\x05\x97.", "NEXT_BUFFER"),
        "text instructions": Hostile(b"S'abc'\n.", "STRING"),
        "persistent name": Hostile(b"P/etc/passwd\n.", "PERSID"),
        "numpy's pickles": Hostile(pickle.dumps(np.array([Call(os.system, COMMAND)])), "_reconstruct"),
    }


def building() -> dict[str, Hostile]:
    """Programs that set attributes of what they may name."""
    ordered = named("collections", "OrderedDict")
    persistent = named("torch_utils.persistence", "_reconstruct_persistent_obj")
    return {
        "state of a class": Hostile(ordered + b"}b.", "state of a Global"),
        "state of a function": Hostile(persistent + b"}" + text("__code__") + b"Nsb.", "state of a Global"),
        "state twice": Hostile(persistent + b"}\x85R}b}b.", "state of a Made"),
        "state of a number": Hostile(b"K\x01}b.", "state of a int"),
        "call of a number": Hostile(b"K\x01)R.", "int as a function"),
        "call with a number": Hostile(ordered + b"K\x01R.", "int as the arguments"),
        "dictionary from pairs": Hostile(ordered + b"](K\x01K\x02\x86e\x85R.", "unusual way"),
        "append to a number": Hostile(b"K\x01K\x02a.", "appends to a int"),
        "append to a class": Hostile(ordered + b"K\x02a.", "appends to a Global"),
        "items of a list": Hostile(b"]K\x01K\x02s.", "items of a list"),
        "odd items": Hostile(b"}(K\x01u.", "sets items"),
        "list as key": Hostile(b"}]K\x01s.", "list as a key"),
        "list in a set": Hostile(b"\x8f(]\x90.", "list as a key"),
        "empty stack": Hostile(b"0.", "where there is none"),
        "no mark": Hostile(b"t.", "where there is none"),
        "two values": Hostile(b"K\x01K\x02.", "one value"),
        "open mark": Hostile(b"(K\x01.", "one value"),
        "unknown memory": Hostile(b"h\x07.", "never stored"),
    }


def exhausting() -> dict[str, Hostile]:
    """Programs that want all memory or all time."""
    doubled = (b"h%c" % i * 2 + b"\x86q%c0" % (i + 1) for i in range(100))
    laughs = b"K\x01q\x000" + b"".join(doubled) + b"h\x64"
    prime = 2**61 - 1
    collisions = b"".join(b"\x8a\x0c" + (i * prime).to_bytes(12, "little") + b"N" for i in range(1, 60_000))
    return {
        "memo far away": Hostile(b"Nr\xff\xff\xff\xff" * 1000 + b".", "one value"),
        "memo everywhere": Hostile(
            b"".join(b"Nr" + struct.pack("<I", i) for i in range(200_000)), "instructions"
        ),
        "laughing key": Hostile(b"}" + laughs + b"Ns.", "tuple as a key"),
        "laughing function": Hostile(laughs + b")R.", "tuple as a function"),
        "laughing network": Hostile(b"}" + text("G_ema") + laughs + b"s.", "no generator G_ema"),
        "deep lists": Hostile(b"]" * 290_000 + b"a" * 289_999 + b".", "instructions"),
        "deep tuples": Hostile(b")" + b"\x85" * 290_000 + b".", "no generator G_ema"),
        "deep keys": Hostile(b"})" + b"\x85" * 290_000 + b"Ns.", "tuple as a key"),
        "sets": Hostile(b"\x8f" * 10_000_000, "instructions"),
        "dictionaries": Hostile(b"}" * 290_000 + b".", "one value"),
        "marks": Hostile(b"(" * 290_000 + b".", "one value"),
        "colliding keys": Hostile(b"}(" + collisions + b"u.", "int as a key"),
        "enormous number": Hostile(b"\x8b\xff\xff\xff\x7f" + b"\xff" * 1000, "whole number of"),
        "large number": Hostile(b"\x8a\xff" + b"\xff" * 255 + b".", "whole number of 255"),
        "enormous bytes": Hostile(b"\x8e" + struct.pack("<Q", 2**60) + b"abc", "cut short"),
        "enormous text": Hostile(b"\x8d" + struct.pack("<Q", 2**62) + b"abc", "cut short"),
        "enormous frame": Hostile(PROTO4 + b"\x95" + struct.pack("<Q", 2**63) + b"N.", "cut short"),
        "much text": Hostile(text("é" * 17_000_000) + b".", "more text"),
    }


def broken() -> dict[str, Hostile]:
    """Files that are damaged, or something else."""
    flipped = bytearray(SNAPSHOT)
    for place in random.Random(0).sample(range(300, 20_000), 40):
        flipped[place] ^= 0xFF
    return {
        "empty": Hostile(b"", "is empty"),
        "one byte": Hostile(b"\x80", "cut short"),
        "only a protocol": Hostile(PROTO4, "cut short"),
        "protocol 9": Hostile(b"\x80\x09N.", "protocol 9"),
        "protocol 255": Hostile(b"\x80\xffN.", "protocol 255"),
        "noise": Hostile(random.Random(1).randbytes(100_000).replace(b"\x80", b"\x01"), "not a pickle"),
        "zeros": Hostile(bytes(100_000), "not a pickle"),
        "web page": Hostile(b"<!DOCTYPE html><html>Too many downloads</html>", "web page"),
        "git pointer": Hostile(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git LFS"),
        "picture": Hostile(b"\x89PNG\r\n\x1a\n" + bytes(100), "one value|none|pickle|cut|snapshot"),
        "json": Hostile(b'{"G_ema": 1}', "not a pickle"),
        "one tenth": Hostile(SNAPSHOT[: len(SNAPSHOT) // 10], "cut short"),
        "half": Hostile(SNAPSHOT[: len(SNAPSHOT) // 2], "cut short"),
        "all but one byte": Hostile(SNAPSHOT[:-1], "cut short"),
        "flipped bytes": Hostile(bytes(flipped), "."),
        "a list": Hostile(pickle.dumps([1, 2, 3]), "no generator G_ema"),
        "no G_ema": Hostile(pickle.dumps({"G": 1, "D": 2}), "no generator G_ema"),
        "G_ema is text": Hostile(pickle.dumps({"G_ema": "hello"}), "no generator G_ema"),
        "text that is none": Hostile(b"X\x02\x00\x00\x00\xff\xfe.", "not UTF-8"),
    }


def archived() -> dict[str, Hostile]:
    """torch's own formats, and zip files that pretend to be one."""
    evil = pickle.dumps(Call(os.system, COMMAND), 2)
    empty = pickle.dumps({}, 2)
    numbers = zipped({"data.pkl": state_dict_pickle(count=10**9), "data/0": bytes(40)})
    good = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, good)
    legacy = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, legacy, _use_new_zipfile_serialization=False)
    return {
        "zip with a call": Hostile(zipped({"data.pkl": evil}), "posix.system"),
        "zip with a module": Hostile(saved(torch.nn.Linear(2, 2)), "torch.nn.modules.linear.Linear"),
        "zip bomb": Hostile(zipped({"data.pkl": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED), "compressed"),
        "zip that overlaps": Hostile(overlapping(), "overlap"),
        "zip without pickle": Hostile(zipped({"weights.npy": b"123"}), "no data.pkl"),
        "zip of two names": Hostile(same_names(), "two files of one name"),
        "zip cut short": Hostile(good.getvalue()[:-30], "cut short"),
        "zip without numbers": Hostile(zipped({"data.pkl": state_dict_pickle(count=3)}), "not in it"),
        "zip with too few numbers": Hostile(numbers, "1000000000 numbers where there are 10"),
        "zip, big-endian": Hostile(zipped({"data.pkl": empty, "byteorder": b"big"}), "big-endian"),
        "zip with nothing": Hostile(zipped({"data.pkl": empty}), "no state dict"),
        "zip only begun": Hostile(b"PK\x03\x04" + bytes(100), "cut short"),
        "good zip, no options": Hostile(good.getvalue(), "does not say how"),
        "older format, a call": Hostile(legacy.getvalue()[:136] + evil, "posix.system"),
        "older format, cut": Hostile(legacy.getvalue()[:-4], "cut short"),
        "older format, no options": Hostile(legacy.getvalue(), "does not say how"),
        "safetensors, long header": Hostile(struct.pack("<Q", 200) + b"{" * 200, "damaged safetensors"),
        "safetensors, overlap": Hostile(safetensors_file([[0, 8], [4, 12]], 12), "damaged safetensors"),
        "safetensors, too much": Hostile(safetensors_file([[0, 2**40]], 8), "damaged safetensors"),
        "safetensors, no options": Hostile(safetensors_file([[0, 8]], 8), "no configuration"),
    }


def networks() -> dict[str, Hostile]:
    """Snapshots that are well-formed and lie."""
    return {
        name: Hostile(_snapshot(change), says)
        for name, (change, says) in {
            "payload with a call": (_payload(pickle.dumps(Call(os.system, COMMAND))), "posix.system"),
            "payload as zip": (_payload(zipped({"data.pkl": b"N."})), "not a pickle|cut|exist|needs|none"),
            "payload of nothing": (_payload(b""), "cut short"),
            "payload too short": (_payload(storage_file(torch.ones(3))[:-4]), "cut short"),
            "payload with more to come": (
                _payload(storage_file(torch.ones(3), count=2**50)),
                "cut short|damaged",
            ),
            "object number": (_attribute("bias_gain", np_object_scalar()), "number in a form"),
            "endless shape": (_tensor((10**9, 10**9), (0, 0)), r"shape \[1000000000, 1000000000\]"),
            "repeated numbers": (_tensor((64, 32), (0, 0)), r"declares a tensor of shape \[64, 32\]"),
            "negative place": (_tensor((3,), (1,), offset=-1), "impossible shape"),
            "beyond the end": (_tensor((3,), (1,), offset=1), "numbers for it"),
            "wide steps": (_tensor((2,), (2**59,)), "numbers for it"),
            "forty dimensions": (_tensor((1,) * 40, (1,) * 40), "impossible shape"),
            "shape of text": (_tensor(("a",), (1,)), "impossible shape"),
            "shared numbers": (_share_everything, "share their numbers"),
            "a module in itself": (_cycle, "more modules"),
            "modules without end": (_double_modules, "more modules"),
            "module of text": (lambda n: n.state["_modules"].update(decoder="x"), "belongs"),
            "many names": (
                lambda n: n.state.update({f"a{i}": i for i in range(2000)}),
                "too many attributes",
            ),
            "option without end": (_laughing_option, "a list|not a number"),
            "class of escapes": (lambda n: setattr(n, "class_name", "\x1b[31mX"), r"class \?\[31mX"),
            "enormous size": (lambda n: n.state.update(z_dim=2**100), "shape"),
            "negative size": (lambda n: n.state.update(z_dim=-5), "z_dim"),
            "endless rays": (_rendering(depth_resolution=10**9), "depth_resolution` .* more than 2000"),
            "endless raw picture": (
                lambda n: n.state.update(neural_rendering_resolution=10**6),
                "neural_rendering_resolution` .* more than 1024",
            ),
            "no number as box": (_rendering(box_warp=float("nan")), "box_warp` is not a finite number"),
            "no box": (_rendering(box_warp=0), "box_warp` .* must be positive"),
            "infinite gain": (_attribute("bias_gain", float("inf")), "bias_gain"),
            "text as gain": (_attribute("bias_gain", "x"), "bias_gain"),
            "text as width": (_attribute("in_features", "x"), "in_features"),
        }.items()
    }


def corpus() -> dict[str, Hostile]:
    """All files by name."""
    return calling() | building() | exhausting() | broken() | archived() | networks()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(f"a/{name}", content)
    return file.getvalue()


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def overlapping() -> bytes:
    """A zip file in which many names share the same bytes."""
    raw = zipped({"data.pkl": b"N.", "data/0": bytes(10_000)})
    place = raw.index(b"PK\x01\x02")
    entries = raw[place : raw.index(b"PK\x05\x06")]
    last = entries[entries.rindex(b"PK\x01\x02") :]
    many = b"".join(last.replace(b"data/0", b"data/%d" % (i % 10)) for i in range(1, 10))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 11, 11, len(entries + many), place, 0)
    return raw[:place] + entries + many + end


def same_names() -> bytes:
    raw = zipped({"data.pkl": b"N.", "data.pk2": b"N."})
    return raw.replace(b"data.pk2", b"data.pkl")


def safetensors_file(offsets: list[list[int]], size: int) -> bytes:
    tensors = {
        f"t{i}": {"dtype": "F32", "shape": [(end - start) // 4], "data_offsets": [start, end]}
        for i, (start, end) in enumerate(offsets)
    }
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def state_dict_pickle(count: int) -> bytes:
    """The pickle in a torch file that refers to numbers "0"."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if value is MISSING else None

    file = io.BytesIO()
    tensor = Call(torch._utils._rebuild_tensor_v2, MISSING, 0, (3,), (1,), False, {})
    Pickler(file, 2).dump({"weight": tensor})
    return file.getvalue()


MISSING = object()


def storage_file(tensor: torch.Tensor, count: int | None = None) -> bytes:
    """A storage as snapshots hold it, perhaps with a count that is not true."""
    _, arguments = tensor.__reduce_ex__(2)[:2]
    _, (raw,) = arguments[0].__reduce__()
    return raw if count is None else raw.replace(struct.pack("<q", tensor.numel()), struct.pack("<q", count))


def np_object_scalar() -> Call:
    """A number of numpy that holds a pickle."""
    scalar = np.float64(1).__reduce__()[0]
    return Call(scalar, np.dtype("O"), pickle.dumps(Call(os.system, COMMAND)))


def _snapshot(change: Callable[[Persistent], Any]) -> bytes:
    network = pickled_generator(random_generator(GeneratorConfig.tiny()))
    change(network)
    return dump({"G_ema": network})


def _payload(raw: bytes) -> Callable[[Persistent], None]:
    storage = Call(torch.storage._load_from_bytes, raw)
    return _bias(Call(torch._utils._rebuild_tensor_v2, storage, 0, (3,), (1,), False, {}))


def _tensor(size: Any, stride: Any, offset: int = 0) -> Callable[[Persistent], None]:
    storage = Call(torch.storage._load_from_bytes, storage_file(torch.ones(3)))
    return _bias(Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {}))


def _bias(value: object) -> Callable[[Persistent], None]:
    return lambda network: child(network, "torgb").state["_parameters"].update(bias=value)


def _attribute(name: str, value: object) -> Callable[[Persistent], None]:
    return lambda network: child(network, "decoder.net.0").state.update({name: value})


def _rendering(**options: Any) -> Callable[[Persistent], None]:
    return lambda network: network.state["rendering_kwargs"].update(options)


def _share_everything(network: Persistent) -> None:
    """Let all tensors be windows on one storage."""
    storage = Call(
        torch.storage._load_from_bytes, storage_file(torch.ones(9216))
    )  # as many as the largest has
    waiting: list[Any] = [network]
    while waiting:
        item = waiting.pop()
        state = item.state if isinstance(item, Persistent) else item.__dict__
        waiting.extend(state["_modules"].values())
        for kind in ("_parameters", "_buffers"):
            for name, tensor in state[kind].items():
                window = (storage, 0, tuple(tensor.shape), tensor.stride(), False, {})
                state[kind][name] = Call(torch._utils._rebuild_tensor_v2, *window)


def _cycle(network: Persistent) -> None:
    child(network, "renderer").state["_modules"]["again"] = child(network, "renderer")


def _double_modules(network: Persistent) -> None:
    part = child(network, "renderer")
    for _ in range(60):
        state = {"_modules": {"a": part, "b": part}, "_parameters": {}, "_buffers": {}}
        part = Persistent("RaySampler", state)
    network.state["_modules"]["renderer"] = part


def _laughing_option(network: Persistent) -> None:
    laughs: list[Any] = ["ha"]
    for _ in range(60):
        laughs = [laughs] * 9
    network.state["rendering_kwargs"]["box_warp"] = laughs
    network.state["_init_kwargs"]["channel_base"] = laughs


if __name__ == "__main__":  # writes the corpus into a folder, to be tried by hand
    for number, (title, hostile) in enumerate(corpus().items()):
        Path(sys.argv[1], f"{number:03d} {title.replace('/', ' ')}.pkl").write_bytes(hostile.content)
