"""Models that are not on the Hub: downloaded piece by piece, gone on with after a break, unpacked."""

import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from stylehead.errors import JobError
from stylehead.files import open_download, put_in_place
from stylehead.folders import remove, together

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30
_LARGEST_MODELS = 4 << 30
_RANGE_ENDED, _PARTIAL = 416, 206


def fetch_models(
    url: str,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    check: Callable[[Path], None] = lambda part: None,
) -> Path:
    """Download a zip archive and keep its `.onnx` files in a folder, all of them or none.

    Args:
        url: The archive.
        folder: Where the models go; those that are there already make way.
        progress: Told bytes done and bytes in all.
        check: Looks at the unpacked models before they take their places; what it raises leaves the old ones.

    Raises:
        JobError: The server cannot be reached, the connection broke, or the archive is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = folder.with_name(f"{folder.name}.zip.part")
    download(url, packed, progress)
    try:
        # Models of an earlier archive go: whoever loads the folder takes all that it finds.
        with together(folder / "models", [path.name for path in folder.glob("*.onnx")]) as part:
            _unpack(packed, part)
            check(part)
    except (JobError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        remove(packed)
        if isinstance(error, JobError):
            raise
        raise JobError(f"The archive from {url} is damaged.", "run the same command again") from error
    remove(packed)
    return folder


def fetch_files(
    urls: Mapping[str, str], folder: Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Download single files into a folder; those that are there already are kept.

    Args:
        urls: Addresses by file name.
        folder: Where they go; made if need be.
        progress: Told bytes done and bytes in all, of the file that is coming.

    Raises:
        JobError: A server cannot be reached, or the connection broke; what has come is gone on with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, url in urls.items():
        target = folder / name
        if target.is_file():
            continue
        part = folder / f"{name}.part"
        download(url, part, progress)
        put_in_place(part, target)


def download(url: str, part: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Download a file; what is there already is not downloaded again.

    Raises:
        JobError: The server cannot be reached, or the connection broke; what has come is kept.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            if answer.status != _PARTIAL:
                have = 0  # the server starts again from the beginning
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            with open_download(part, go_on=bool(have)) as file:
                while piece := answer.read(_CHUNK):
                    file.write(piece)
                    have += len(piece)
                    if progress is not None and total:
                        progress(have, total)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_ENDED:
            return  # it was whole already
        raise JobError(
            f"{url} cannot be fetched ({error.code} {error.reason}).", "try again later"
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise JobError(
            f"{url} cannot be reached ({reason}).", "run the same command again to go on"
        ) from error
    if total is not None and have < total:
        raise JobError(
            f"The connection broke after {have} of {total} bytes of {url}.",
            "run the same command again to go on",
        )


def _unpack(path: Path, part: Path) -> None:
    """Write the models of an archive into a folder by bare name: some archives have a folder inside."""
    with zipfile.ZipFile(path) as archive:
        models = [info for info in archive.infolist() if PurePosixPath(info.filename).suffix == ".onnx"]
        if not models:
            raise JobError(f"The archive {path.name} has no models in it.")
        if sum(info.file_size for info in models) > _LARGEST_MODELS:
            raise JobError(f"The archive {path.name} would unpack to more than 4 GB.")
        for info in models:
            target = part / PurePosixPath(info.filename).name
            with archive.open(info) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, _CHUNK)
