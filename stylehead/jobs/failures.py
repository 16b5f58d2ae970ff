"""What exceptions mean to a user: one sentence, the next command and the exit code, in one table.

Exit codes: 0 done, 1 the job failed, 2 wrong usage, 3 a weight, package or GPU is missing, 4 a licence is not
accepted, 5 out of memory, 130 interrupted.
"""

import contextlib
import errno
import re
from collections.abc import Callable
from typing import NamedTuple

from stylehead.errors import StyleheadError, tensor_damage

INTERRUPTED = 130


class Failure(NamedTuple):
    """A failure as the user sees it."""

    message: str
    hint: str | None
    exit_code: int


class StoppedError(StyleheadError):
    """The user pressed Ctrl-C and the work so far is safe."""

    exit_code = INTERRUPTED


MEMORY_HINT = "add --memory 8 or --no-grid, or use a smaller --batch"
_DEBUG_HINT = "set STYLEHEAD_DEBUG=1 and run it again to see where"

_SYSTEM = {
    errno.ENOSPC: ("The disk is full: could not write {path}.", "free some space, or write to another disk"),
    errno.EDQUOT: ("Your disk quota is used up: could not write {path}.", "free some space"),
    errno.EFBIG: ("{path} would be larger than the disk or `ulimit -f` allows.", "choose another place"),
    errno.EACCES: ("No permission to use {path}.", "change the permissions, or choose another place"),
    errno.EPERM: ("No permission to use {path}.", "change the permissions, or choose another place"),
    errno.EROFS: ("{path} is on a read-only disk.", "choose another place"),
    errno.ENOENT: ("There is no file {path}.", None),
    errno.ENOTDIR: ("A part of {path} is a file, not a folder.", "choose another path"),
    errno.EISDIR: ("{path} is a folder, not a file.", None),
    errno.ENAMETOOLONG: ("The name {path} is too long for this disk.", "choose a shorter one"),
}


def explain(error: BaseException) -> Failure:
    """Turn an exception into a sentence, the next step and an exit code."""
    for matches, describe in _TABLE:
        if matches(error):
            return describe(error)
    return Failure(f"Unexpected {type(error).__name__}: {_one_line(error)}", _DEBUG_HINT, 1)


def _of(*names: str) -> Callable[[BaseException], bool]:
    """Match classes by name, so that their libraries need not be imported."""
    return lambda error: any(cls.__name__ in names for cls in type(error).__mro__)


def _out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in said or "can't allocate memory" in said or "cannot allocate memory" in said)
    )


def _own(error: BaseException) -> Failure:
    assert isinstance(error, StyleheadError)
    return Failure(error.message, error.hint, error.exit_code)


def _system(error: BaseException) -> Failure:
    assert isinstance(error, OSError)
    if error.errno == errno.ENOMEM:
        return Failure("Out of memory.", MEMORY_HINT, 5)
    path = str(error.filename2 or error.filename or "the output")
    path = (
        "the current folder" if path == "." else path
    )  # before a full stop it would look like the one above
    # names of what is not whole yet mean nothing to users
    path = re.sub(r"/\.([^/]+?)(\.[0-9a-f]{8})?\.part", r"/\1", path).replace("/.part/", "/")
    sentence, hint = _SYSTEM.get(error.errno or 0, ("{path}: " + (error.strerror or _one_line(error)), None))
    return Failure(sentence.format(path=path), hint, 1)


def _tensor_file(error: BaseException) -> Failure:
    code = re.search(r"os error (\d+)", str(error))
    if code:
        return _system(OSError(int(code[1]), _one_line(error)))
    return Failure(f"A file of weights {tensor_damage(error)}.", None, 1)


def _foreign_torchvision(error: BaseException) -> bool:
    """Whether a torchvision that was built for another torch keeps a library from being imported."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return any(
        re.search(r"torchvision::|torchvision[./]_C|torchvision/extension", str(each)) for each in links
    )


def _unfit_torchvision(_: BaseException) -> Failure:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "torchvision"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    vision, torch = found.get("torchvision", "that is installed"), found.get("torch", "that is installed")
    return Failure(
        f"The torchvision {vision} does not fit the torch {torch}, and the diffusion libraries import it.",
        "pip uninstall torchvision (only FID and KID need it; one of the same index and build as torch fits)",
        3,
    )


def _lacks_library(error: BaseException) -> bool:
    """Whether a package could not be imported for want of a library of the system."""
    return isinstance(error, ImportError) and _LIBRARY.search(str(error)) is not None


def _missing_library(error: BaseException) -> Failure:
    found = _LIBRARY.search(str(error))
    assert found is not None
    packages = _PACKAGES.get(found[1])
    hint = (
        None
        if packages is None
        else f"apt-get install {packages[0]} (Debian, Ubuntu), dnf install {packages[1]}"
    )
    return Failure(f"The system library {found[1]} is missing; OpenCV or another package needs it.", hint, 3)


_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\d.]*): cannot open shared object file")
_PACKAGES = {
    "libGL.so.1": ("libgl1", "mesa-libGL"),
    "libgthread-2.0.so.0": ("libglib2.0-0", "glib2"),
    "libglib-2.0.so.0": ("libglib2.0-0", "glib2"),
}
"""Packages of Debian and of Fedora that bring the libraries which OpenCV's wheel leaves to the system."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_TABLE: tuple[tuple[Callable[[BaseException], bool], Callable[[BaseException], Failure]], ...] = (
    (lambda error: isinstance(error, StyleheadError), _own),
    (
        lambda error: isinstance(error, KeyboardInterrupt),
        lambda _: Failure("Interrupted.", None, INTERRUPTED),
    ),
    (_foreign_torchvision, _unfit_torchvision),
    (_lacks_library, _missing_library),
    (_out_of_memory, lambda _: Failure("Out of memory.", MEMORY_HINT, 5)),
    (lambda error: isinstance(error, OSError), _system),
    (_of("SafetensorError"), _tensor_file),
)
