"""Writing files so that nothing is ever half there, and reading them so that damage is a sentence.

A file is written beside its final name under a lock, flushed to the disk, and renamed. The temporary name is
made from the final one: whoever writes the same file next clears away what a killed writer left. Folders of
results are in `stylehead.folders`.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stylehead.errors import JobError, UsageError, tensor_damage

if TYPE_CHECKING:
    import numpy as np
    from filelock import FileLock
    from torch import Tensor

# ----------------------------------------------------------------------------------------------------- locks


def new_lock(path: Path) -> "FileLock":
    """Return the lock of a file name; the system frees it when its process dies, however it dies.

    Locks are files, removed when they are released. Two of the same name exclude each other in one process.
    """
    import filelock

    return filelock.FileLock(path, thread_local=False)


def take(lock: "FileLock") -> bool:
    """Take a lock if nobody has it; says whether."""
    import filelock

    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    return True


def let_go(lock: "FileLock") -> None:
    """Release a lock, and remove its file while nobody else can have it."""
    path = Path(lock.lock_file)
    try:
        if sys.platform != "win32":  # there the library removes it, as open files cannot be
            path.unlink(missing_ok=True)
    finally:
        lock.release()


# ----------------------------------------------------------------------------------------------------- files


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` only when the block succeeds.

    Args:
        path: Final name in an existing folder. The temporary name keeps the suffix; some writers look at it.

    Raises:
        OSError: As the file system says (no space, no permission), naming `path`, which is then as it was.
    """
    part, lock = _part(path), new_lock(lock_of(path))
    with naming(path):
        lock.acquire()
        try:
            part.unlink(missing_ok=True)  # a killed writer may have left it
            yield part
            flush_file(part)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            let_go(lock)
        flush_folder(path.parent)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file or nothing: after a crash `path` holds either the old content or the new one.

    Text is written as UTF-8; the folder must exist.
    """
    raw = data.encode() if isinstance(data, str) else data
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(raw)


def clear_leftovers(folder: Path) -> None:
    """Finish or clear away what killed writers left in a folder; locks show who is still at it."""
    left = (_LEFT.fullmatch(path.name) for path in list(folder.glob(".????????.*")))
    for tag in sorted({match[1] for match in left if match}):
        lock = new_lock(folder / f".{tag}.lock")
        if take(lock):
            settle(folder, tag)
            let_go(lock)


def settle(folder: Path, tag: str) -> None:
    """Finish what was committed together under a tag, and remove what was not; the caller has the lock."""
    for part in folder.glob(f".{tag}.part*"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
    whole = folder / f".{tag}.whole"
    if whole.is_dir():
        gone = whole / GONE
        main_last = sorted({*whole.iterdir()} - {gone}, key=lambda file: tag_of(file) == tag)
        for file in main_last:
            os.replace(file, folder / file.name)
        for name in gone.read_text(encoding="utf-8").splitlines() if gone.exists() else ():
            (folder / name).unlink(missing_ok=True)
        gone.unlink(missing_ok=True)
        whole.rmdir()
        flush_folder(folder)


GONE = ".gone"
"""Names of files that make way for those that are committed together."""
_LEFT = re.compile(r"\.([0-9a-f]{8})\.(lock|whole)")


def is_part(path: Path) -> bool:
    """Whether a name is one of those that writing uses on the way."""
    return re.fullmatch(r"\.[0-9a-f]{8}\.(lock|whole|part(\..*)?)", path.name) is not None


def tag_of(path: Path) -> str:
    """Eight digits for a name: a longer one might be too long for the disk where the name itself is not."""
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]


def lock_of(path: Path) -> Path:
    """The file that is locked while a file is written."""
    return path.parent / f".{tag_of(path)}.lock"


def _part(path: Path) -> Path:
    return path.parent / f".{tag_of(path)}.part{path.suffix}"


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make errors of the system name the file that was to be written, not the one beside it."""
    try:
        yield
    except OSError as error:
        if error.filename is None or is_part(Path(os.fsdecode(error.filename))):
            error.filename, error.filename2 = str(path), None
        raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file, which is made when it is not there."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def open_download(part: Path, *, go_on: bool) -> BinaryIO:
    """Open a file that comes in pieces, at its end or anew; a download that broke is gone on with."""
    return part.open("ab" if go_on else "wb")


def put_in_place(part: Path, path: Path) -> None:
    """Give a file that is whole its final name, in the same folder."""
    flush_file(part)
    os.replace(part, path)
    flush_folder(path.parent)


# --------------------------------------------------------------------------------------- before any work


def check_parents(path: Path) -> None:
    """Say no when a path cannot be made: the disk is only looked at.

    Raises:
        UsageError: One of the folders above it is a file.
        OSError: It may not be written to, or the name is too long.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # a name that is too long says so
    for folder in path.parents:
        if folder.exists():
            if not folder.is_dir():
                raise UsageError(f"{folder} is a file, so {path} cannot be made.", "choose another path")
            _check_writable(folder)
            return


def user_path(path: Path) -> Path:
    """Fill in the user's folder for a `~` at the beginning; other paths stay as they are."""
    try:
        return path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def check_current_folder() -> None:
    """Raise UsageError where the current folder was removed: nothing can be found from there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("The current folder was removed.", "cd to another folder") from None


def check_folder_writable(folder: Path) -> None:
    """Raise OSError when nothing can be written to a folder, or to those above one that is not there yet."""
    if folder.is_dir():
        _check_writable(folder)
    else:
        check_parents(folder)


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        import errno

        read_only = sys.platform != "win32" and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        code = errno.EROFS if read_only else errno.EACCES
        raise OSError(code, os.strerror(code), str(folder))


# ------------------------------------------------------------------------------------------------------ JSON


def json_text(
    value: Any,
    *,
    indent: int | None = None,
    default: Callable[[Any], Any] | None = None,
    only_ascii: bool = False,
) -> str:
    """Return JSON that every reader takes: numbers that are not finite are null.

    Args:
        value: What to write.
        indent: For people.
        default: Turns what JSON does not know into what it knows.
        only_ascii: Escape all other letters.
    """
    dumps = functools.partial(
        json.dumps, indent=indent, default=default, ensure_ascii=only_ascii, allow_nan=False
    )
    try:
        return dumps(value)
    except ValueError:
        return dumps(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, indented for people."""
    atomic_write(path, json_text(value, indent=2) + "\n")


def read_json(path: Path, hint: str | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: A file.
        hint: What helps when it is damaged.

    Raises:
        JobError: It holds something else; the sentence names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise JobError(f"{path} is damaged: it is not JSON ({_short(error)}).", hint) from error
    if not isinstance(content, dict):
        raise JobError(f"{path} is damaged: it holds no JSON object.", hint)
    return content


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


# --------------------------------------------------------------------------------------------------- tensors


def save_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file atomically; equal content gives equal bytes.

    Args:
        path: Final name; its folder must exist.
        tensors: Named tensors on any device; they are stored contiguous, as they are.
        metadata: Header strings.

    Raises:
        OSError: Also where the tensor library wraps the system's error (a full disk) in its own exception.
    """
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with _safetensors_file(path) as part:
        save_file(contiguous, part, metadata=dict(metadata) if metadata else None)


def save_arrays(
    path: Path, arrays: Mapping[str, "np.ndarray[Any, Any]"], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file of contiguous numpy arrays, without torch; see `save_tensors`."""
    from safetensors.numpy import save_file

    with _safetensors_file(path) as part:
        save_file(dict(arrays), part, metadata=dict(metadata) if metadata else None)


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """Read a safetensors file.

    Raises:
        JobError: It is damaged; the sentence names it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise JobError(f"{path} {tensor_damage(error)}.") from error


@contextlib.contextmanager
def _safetensors_file(path: Path) -> Iterator[Path]:
    """An atomic path; its writer may wrap the errors of the system, and would let only the owner read it."""
    from safetensors import SafetensorError

    with atomic_path(path) as part:
        part.touch()
        mode = part.stat().st_mode
        try:
            yield part
        except SafetensorError as error:
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error
        part.chmod(mode)
        _sort_header(part)


def _sort_header(path: Path) -> None:
    """Put the strings of a safetensors header in order; the library writes them in any."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > size:
            raise JobError(f"The header of {path} cannot be put in order.")
        file.seek(8)
        file.write(text.ljust(size))


def flush_file(path: Path) -> None:
    """Make the content of a file survive a power cut."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """Make the renames inside a folder survive a power cut."""
    if sys.platform == "win32":
        return  # folders cannot be opened there; NTFS journals the rename
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
