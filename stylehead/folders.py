"""Folders of results that change as a whole.

New files go to a part folder inside. Putting the new manifest in the place of the old one is the commit; then
the new files move to their names, and files that only the old manifest lists are removed. A file that no
manifest lists is never touched. Whoever takes the folder next finishes or undoes what a killed process left:

    .part/                    files of the future
    .part/replaces.json       written last: what the commit will remove
    .part/<manifest>          there: not committed, undo; gone: committed, finish
"""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from stylehead.errors import JobError, UsageError
from stylehead.files import (
    GONE,
    atomic_write,
    clear_leftovers,
    flush_file,
    flush_folder,
    is_part,
    let_go,
    lock_of,
    naming,
    new_lock,
    read_json,
    settle,
    tag_of,
    take,
    write_json,
)

LOCK, PART, REPLACES = ".lock", ".part", "replaces.json"
_LEFT = re.compile(r"\..+\.gone|\..+\.[0-9a-f]{4,8}\.part(\..+)?")
"""What killed processes leave behind: folders on their way out, and parts as version 0.1.0 called them."""


@contextlib.contextmanager
def hold(folder: Path, doing: str = "working on") -> Iterator[None]:
    """Keep other processes out of a folder; finishes or undoes what a killed one left in it.

    Args:
        folder: Is made when it is not there, and goes again if it is empty at the end.
        doing: What another process is said to be doing with it.

    Raises:
        JobError: Another process has it.
        OSError: It cannot be made, or nothing can be written to it.
    """
    made = _make(folder)
    lock = new_lock(folder / LOCK)
    try:
        if not take(lock):
            raise JobError(f"Another process is {doing} {folder}.", "wait, or choose another --out")
        try:
            recover(folder)
            yield
        finally:
            let_go(lock)
    finally:
        for empty in made:
            with contextlib.suppress(OSError):
                empty.rmdir()


def claim(folder: Path) -> contextlib.ExitStack | None:
    """Hold a folder that is new, or that has nothing in it but what a killed process left.

    Returns:
        What to close to let go; None when the folder is somebody's.
    """
    stack = contextlib.ExitStack()
    if folder.exists() and not is_vacant(folder):
        return None
    try:
        stack.enter_context(hold(folder))
    except JobError:
        return None
    if is_vacant(folder):
        return stack
    stack.close()
    return None


def finish_left(folder: Path) -> None:
    """Finish or undo what a killed process left in a folder, unless somebody has it or it is read-only."""
    if (folder / PART).is_dir():
        with contextlib.suppress(JobError, OSError), hold(folder):
            pass  # taking it does so


def is_held(folder: Path) -> bool:
    """Whether a process, this one included, holds a folder."""
    if not (folder / LOCK).exists():
        return False
    lock = new_lock(folder / LOCK)
    try:
        free = take(lock)
    except OSError:  # not ours to lock: nobody here can be working on it
        return False
    if free:
        let_go(lock)
    return not free


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds nothing but what writing uses on the way."""
    return all(entry.name in (LOCK, PART) or is_part(entry) for entry in folder.iterdir())


@contextlib.contextmanager
def replaced(folder: Path, manifest: str, old: Iterable[str] = ()) -> Iterator[Path]:
    """Give a part folder to fill, the manifest included; its files then take the place of `old`.

    Args:
        folder: Held by the caller.
        manifest: Name of the manifest, which the block writes to the part folder, too.
        old: Names of files, relative to the folder, that go when they are not written again.

    Raises:
        OSError: As the file system says; the folder is then as it was before, or as it is to be.
    """
    part = folder / PART
    try:
        part.mkdir()
        yield part
        gone = sorted({name for name in old if _is_inside(name) and not (part / name).exists()} - {manifest})
        write_json(part / REPLACES, {"manifest": manifest, "old": gone})
        os.replace(part / manifest, folder / manifest)
    finally:
        recover(folder)


@contextlib.contextmanager
def together(path: Path, instead_of: Iterable[str] = ()) -> Iterator[Path]:
    """Give a folder to write several files to; they take their places beside `path`, all or none of them.

    The rename of the folder is the commit. A process that is killed after it leaves the moving to the next
    that writes there, see `sweep`.

    Args:
        path: The main file, in an existing folder; it comes last.
        instead_of: Names of files beside it that go when they are not written again.

    Raises:
        OSError: As the file system says; the files are then as they were before, or as they are to be.
    """
    tag, lock = tag_of(path), new_lock(lock_of(path))
    part, whole = path.parent / f".{tag}.part", path.parent / f".{tag}.whole"
    with naming(path):
        lock.acquire()
        try:
            settle(path.parent, tag)
            part.mkdir()
            yield part
            names = {file.name for file in part.iterdir()}
            for name in names:
                flush_file(part / name)
                if (path.parent / name).is_dir():
                    code = errno.EISDIR
                    raise IsADirectoryError(code, os.strerror(code), str(path.parent / name))
            atomic_write(part / GONE, "\n".join(sorted({*instead_of} - names)))
            os.replace(part, whole)
        finally:
            try:
                settle(path.parent, tag)
            finally:
                let_go(lock)


def recover(folder: Path) -> None:
    """Finish or undo what a killed process left; the caller holds the folder."""
    part = folder / PART
    if (part / REPLACES).is_file():
        plan = read_json(part / REPLACES)
        if not (part / plan["manifest"]).exists():
            _finish(folder, plan)
    (part / REPLACES).unlink(missing_ok=True)  # first: what is left of a part must not look like a commit
    if part.is_dir():
        shutil.rmtree(part)
    for inside, folders, names in os.walk(folder):
        clear_leftovers(Path(inside))
        for name in [name for name in (*folders, *names) if _LEFT.fullmatch(name)]:
            remove(Path(inside, name))
        folders[:] = [name for name in folders if not name.startswith(".")]


def _finish(folder: Path, plan: dict[str, Any]) -> None:
    """Move the new files to their names, then remove the old ones that are listed, and folders left empty."""
    part = folder / PART
    for source in sorted(part.rglob("*")):
        target = folder / source.relative_to(part)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        elif source != part / REPLACES and not is_part(source):
            os.replace(source, target)
    for name in plan["old"]:
        path = folder / name
        path.unlink(missing_ok=True)
        for above in path.relative_to(folder).parents[:-1]:
            if (folder / above).is_dir() and not any((folder / above).iterdir()):
                (folder / above).rmdir()
    flush_folder(folder)


def _is_inside(name: str) -> bool:
    """Whether a listed name is one of a file inside the folder: manifests can be edited by anybody."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and ":" not in name


def drop_folder(path: Path) -> None:
    """Remove a folder that is ours; a kill leaves all of it, or remains under another name."""
    aside = path.with_name(f".{path.name}.gone")
    remove(aside)
    os.replace(path, aside)
    remove(aside)


def drop_scratch(folder: Path) -> None:
    """Remove a temporary folder of ours, as far as the system lets us."""
    shutil.rmtree(folder, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder; it need not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it; returns those that were made, the lowest first."""
    missing = []
    for path in (folder, *folder.parents):
        if path.exists():
            break
        missing.append(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # the system says so of places that it makes itself, such as /proc
        raise UsageError(f"{folder} cannot be made there.", "choose another place") from error
    return missing
