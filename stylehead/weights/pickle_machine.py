"""Reading pickles without running anything in them.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the program names.
This one is another machine for the same language. It knows only the instructions that snapshots of networks
use, makes nothing but plain values, and never calls, imports or looks up anything: where a program asks for
a call, the result is a `Made` that says what would have been called with which arguments. Names that are not
on the caller's list are refused the moment they are mentioned.

Time and memory are bounded by the budget, whatever the program says: every instruction costs one, every
byte of text costs one of another kind, and binary data is never copied.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAPPINGS = frozenset({"collections.OrderedDict", "dnnlib.util.EasyDict"})
"""Classes that are plain dictionaries here."""
SET = "builtins.set"
"""Sets before protocol 4, made of a list."""

_HIGHEST_PROTOCOL = 5
_SHOWN_LENGTH = 80
_WIDEST_NUMBER = 16  # bytes; torch's magic number takes ten
_LARGEST_KEY = 2**60  # beyond it, whole numbers can be chosen to share one hash


class Refused(ValueError):
    """The data is not what its reader accepts; the message completes "FILE was refused: ..."."""


class Global(NamedTuple):
    """A function or class that a pickle names, as "module.name"."""

    name: str


@dataclass(eq=False)
class Made:
    """What a call would have made.

    Attributes:
        function: The function or class, as "module.name".
        arguments: Its arguments.
        state: What was to be set on the result, or None.
    """

    function: str
    arguments: tuple[Any, ...]
    state: Any = None


class Persistent(NamedTuple):
    """A reference to something outside the pickle."""

    key: Any


@dataclass
class PickleBudget:
    """How much work pickles may still ask for; shared by all pickles of one file."""

    instructions: int = 300_000  # a snapshot of the full network has about 100,000
    text_bytes: int = 32_000_000

    def spend_text(self, count: int) -> None:
        """Pay for text before it is read."""
        self.text_bytes -= count
        if self.text_bytes < 0:
            raise Refused("it holds more text than any snapshot")


@dataclass
class PickleMachine:
    """Runs one pickle after another from a piece of memory.

    Args:
        data: The bytes.
        allowed: Globals that may be named.
        budget: What is left to spend.
        position: Where to start; after `load`, the byte after the pickle.
    """

    data: memoryview
    allowed: frozenset[str]
    budget: PickleBudget = field(default_factory=PickleBudget)
    position: int = 0
    _stack: list[Any] = field(default_factory=list, init=False)
    _marks: list[list[Any]] = field(default_factory=list, init=False)
    _memo: dict[int, Any] = field(default_factory=dict, init=False)

    def load(self) -> Any:
        """Read one pickle.

        Returns:
            Plain values; bytes as memory views; calls as `Made`.

        Raises:
            Refused: It is cut short, damaged, too large, or asks for something that is not on the list.
        """
        self._stack, self._marks, self._memo = [], [], {}
        start = self.position
        while True:
            self.budget.instructions -= 1
            if self.budget.instructions < 0:
                raise Refused("it has more instructions than any snapshot")
            if self.position >= len(self.data):
                raise Refused("it is cut short")
            code = self.data[self.position]
            self.position += 1
            if code == _STOP:
                break
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Refused(_unknown_instruction(code, at_start=self.position == start + 1))
            instruction(self)
        if len(self._stack) != 1 or self._marks:
            raise Refused("it does not end with one value")
        return self._stack.pop()

    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if end > len(self.data):
            raise Refused("it is cut short")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def _line(self) -> str:
        """Read text up to a line end, at most as long as a name may be."""
        piece = bytes(self.data[self.position : self.position + 1000])
        line, end, _ = piece.partition(b"\n")
        if not end:
            raise Refused("it names something endless, or is cut short")
        self.position += len(line) + 1
        return _decode(line)

    def _pop(self) -> Any:
        if not self._stack:
            raise Refused("it takes a value where there is none")
        return self._stack.pop()

    def _pop_kind(self, kind: type, what: str) -> Any:
        value = self._pop()
        if not isinstance(value, kind):
            raise Refused(f"it uses a {type(value).__name__} as {what}")
        return value

    def _peek(self) -> Any:
        if not self._stack:
            raise Refused("it takes a value where there is none")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        """Take everything since the last mark."""
        if not self._marks:
            raise Refused("it takes a group of values where there is none")
        values, self._stack = self._stack, self._marks.pop()
        return values

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    # Instructions, in the order of the table below.

    def protocol(self) -> None:
        """Check the version of the language."""
        version = self._take(1)[0]
        if version > _HIGHEST_PROTOCOL:
            raise Refused(f"it is written in pickle protocol {version}, which does not exist yet")

    def frame(self) -> None:
        """Check that a frame, which is only a hint for reading ahead, is there."""
        (length,) = struct.unpack("<Q", self._take(8))
        if self.position + length > len(self.data):
            raise Refused("it is cut short")

    def mark(self) -> None:
        """Begin a group of values."""
        self._marks.append(self._stack)
        self._stack = []

    def long(self, count: int) -> None:
        """Push a whole number of `count` bytes."""
        if count > _WIDEST_NUMBER:
            raise Refused(f"it holds a whole number of {count} bytes")
        self.push(int.from_bytes(self._take(count), "little", signed=True))

    def text(self, count: int) -> None:
        """Push text of `count` bytes."""
        if self.position + count > len(self.data):
            raise Refused("it is cut short")
        self.budget.spend_text(count)
        self.push(_decode(bytes(self._take(count))))

    def tuple_of(self, count: int) -> None:
        """Push a tuple of the last values."""
        if len(self._stack) < count:
            raise Refused("it takes a value where there is none")
        values = tuple(self._stack[-count:])
        del self._stack[-count:]
        self.push(values)

    def append(self, values: list[Any]) -> None:
        """Add values to the list on the stack."""
        target = self._peek()
        if not isinstance(target, list):
            raise Refused(f"it appends to a {type(target).__name__}")
        target.extend(values)

    def set_items(self, flat: list[Any]) -> None:
        """Add keys and values, by turns, to the dictionary on the stack."""
        target = self._peek()
        if not isinstance(target, dict) or len(flat) % 2:
            raise Refused(f"it sets items of a {type(target).__name__}")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            target[_key(key)] = value

    def add_items(self) -> None:
        """Add values to the set on the stack."""
        values = self._pop_mark()
        target = self._peek()
        if not isinstance(target, set):
            raise Refused(f"it adds to a {type(target).__name__} as if it were a set")
        target.update(map(_key, values))

    def get(self, index: int) -> None:
        """Push a remembered value."""
        if index not in self._memo:
            raise Refused("it recalls something that it never stored")
        self.push(self._memo[index])

    def put(self, index: int) -> None:
        """Remember the value on the stack."""
        self._memo[index] = self._peek()

    def name_global(self, module: str, name: str) -> None:
        """Push a global, if it is on the list."""
        full = f"{module}.{name}"
        if full not in self.allowed:
            raise Refused(f"it names {shown(full)}, which is not on the list of what snapshots need")
        self.push(Global(full))

    def stack_global(self) -> None:
        """Push a global whose names are on the stack."""
        name, module = self._pop_kind(str, "a name"), self._pop_kind(str, "a name")
        self.name_global(module, name)

    def call(self) -> None:
        """Note a call; classes that are dictionaries here give one, and sets a set."""
        arguments = self._pop_kind(tuple, "the arguments of a call")
        function = self._pop_kind(Global, "a function").name
        if function in MAPPINGS and not arguments:
            self.push({})
        elif function == SET and len(arguments) == 1 and isinstance(arguments[0], list):
            self.push(set(map(_key, arguments[0])))
        elif function in MAPPINGS or function == SET:
            raise Refused(f"it makes a {function} in an unusual way")
        else:
            self.push(Made(function, arguments))

    def build(self) -> None:
        """Keep the state of a `Made`; what is set on a dictionary beside its items is dropped."""
        state, target = self._pop(), self._peek()
        if isinstance(target, Made) and target.state is None:
            target.state = state
        elif not isinstance(target, dict):
            raise Refused(f"it sets the state of a {type(target).__name__}")


_STOP = ord(".")


def _whole(layout: str) -> Callable[[PickleMachine], int]:
    size = struct.calcsize(layout)

    def read(machine: PickleMachine) -> int:
        return int(struct.unpack(layout, machine._take(size))[0])

    return read


_byte, _u16, _u32, _u64, _i32 = (_whole(layout) for layout in ("<B", "<H", "<I", "<Q", "<i"))

_INSTRUCTIONS: dict[int, Callable[[PickleMachine], Any]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": PickleMachine.protocol,
        "\x95": PickleMachine.frame,
        "(": PickleMachine.mark,
        "0": PickleMachine._pop,
        "1": PickleMachine._pop_mark,
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "K": lambda m: m.push(_byte(m)),
        "M": lambda m: m.push(_u16(m)),
        "J": lambda m: m.push(_i32(m)),
        "\x8a": lambda m: m.long(_byte(m)),
        "\x8b": lambda m: m.long(_u32(m)),
        "G": lambda m: m.push(struct.unpack(">d", m._take(8))[0]),
        "C": lambda m: m.push(m._take(_byte(m))),
        "B": lambda m: m.push(m._take(_u32(m))),
        "\x8e": lambda m: m.push(m._take(_u64(m))),
        "\x8c": lambda m: m.text(_byte(m)),
        "X": lambda m: m.text(_u32(m)),
        "\x8d": lambda m: m.text(_u64(m)),
        "]": lambda m: m.push([]),
        "a": lambda m: m.append([m._pop()]),
        "e": lambda m: m.append(m._pop_mark()),
        ")": lambda m: m.push(()),
        "\x85": lambda m: m.tuple_of(1),
        "\x86": lambda m: m.tuple_of(2),
        "\x87": lambda m: m.tuple_of(3),
        "t": lambda m: m.push(tuple(m._pop_mark())),
        "}": lambda m: m.push({}),
        "s": lambda m: m.set_items([m._pop(), m._pop()][::-1]),
        "u": lambda m: m.set_items(m._pop_mark()),
        "\x8f": lambda m: m.push(set()),
        "\x90": PickleMachine.add_items,
        "h": lambda m: m.get(_byte(m)),
        "j": lambda m: m.get(_u32(m)),
        "q": lambda m: m.put(_byte(m)),
        "r": lambda m: m.put(_u32(m)),
        "\x94": lambda m: m.put(len(m._memo)),
        "c": lambda m: m.name_global(m._line(), m._line()),
        "\x93": PickleMachine.stack_global,
        "R": PickleMachine.call,
        "\x81": PickleMachine.call,
        "b": PickleMachine.build,
        "Q": lambda m: m.push(Persistent(m._pop())),
    }.items()
}


def _unknown_instruction(code: int, *, at_start: bool) -> str:
    import pickletools

    known = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
    if code not in known:
        return (
            "it is not a pickle" if at_start else "it is damaged: it has an instruction that does not exist"
        )
    return f"it uses the pickle instruction {known[code]}, which no snapshot needs"


def _key(value: Any) -> str | int:
    """Pass what a dictionary may be asked to find: other values can be made to take for ever."""
    if isinstance(value, str) or (isinstance(value, int) and abs(value) < _LARGEST_KEY):
        return value
    raise Refused(f"it uses a {type(value).__name__} as a key")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("it holds text that is not UTF-8") from None


def shown(value: object) -> str:
    """A value from a file, short and safe to show on a terminal; of anything large only its type."""
    if isinstance(value, str):
        text = "".join(character if character.isprintable() else "?" for character in value[:_SHOWN_LENGTH])
        return text if len(value) <= _SHOWN_LENGTH else f"{text}…"
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    return f"a {type(value).__name__.lower()}"
