"""What `stylehead render` does once all is loaded: frames, files, and a folder that appears as a whole."""

import functools
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stylehead.errors import UsageError
from stylehead.export.mesh import Mesh, extract_mesh
from stylehead.export.mesh_files import save_mesh
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.showcase import angle_headings
from stylehead.export.stills import save_image
from stylehead.export.video import side_by_side, write_frames, write_gif, write_mp4, write_webp
from stylehead.export.views import render_views, turntable_yaws
from stylehead.files import check_parents, write_json
from stylehead.generator import PanoHead, mix_styles, remove_styles
from stylehead.images import Pixels
from stylehead.jobs.heads import Head, StyleChoice
from stylehead.jobs.report import Progress, Report, Result
from stylehead.jobs.requests import MeshRequest, Views
from stylehead.runs import slugify

RENDERS = Path("renders")
MANIFEST = "render.json"
SHEET = "contact_sheet.jpg"
SHEET_COLUMNS = 9
SHEET_FRAMES = 72
SHEET_VIEWS_OF_MANY = 8


class Film(NamedTuple):
    """The frames of one head: stylised (or plain), and the source when it is compared."""

    head: Head
    frames: Pixels
    source: Pixels | None

    def shown(self) -> Pixels:
        """What films and frames show."""
        return self.frames if self.source is None else side_by_side(self.source, self.frames)


class Rendering:
    """Renders heads and writes what was asked for.

    Args:
        generator: Without style.
        heads: At least one.
        styles: Applied together.
        views: Cameras and ground.
        facts: Further entries of the recipe.
    """

    def __init__(
        self,
        generator: PanoHead,
        heads: Sequence[Head],
        styles: Sequence[StyleChoice],
        views: Views,
        facts: dict[str, Any],
    ) -> None:
        self._generator, self._heads, self._styles, self._views = generator, heads, styles, views
        self._yaws_deg = turntable_yaws(views.yaw_steps)
        self._facts = facts

    def execute(
        self,
        formats: Sequence[str],
        out: Path | None,
        mesh: MeshRequest | None,
        report: Report,
        *,
        overwrite: bool,
    ) -> Result:
        """Render, write, and say what there is."""
        folder = out or _free(RENDERS / self._name())
        films = self._films(report)
        surface = None if mesh is None else self._surface(mesh, report)
        with whole_folder(folder, overwrite=overwrite) as part:
            written = [path for film in films for path in self._write_film(part, film, formats)]
            if "sheet" in formats:
                save_image(part / SHEET, self._sheet(films), self._recipe())
                written.append(part / SHEET)
            names = [str(path.relative_to(part)) for path in written]
            write_json(part / MANIFEST, {**self._recipe(), "files": names})
        if mesh is not None and surface is not None:
            recipe = {**self._recipe(), "head": self._heads[0].name, "level": mesh.level}
            mesh.path.parent.mkdir(parents=True, exist_ok=True)
            save_mesh(mesh.path, surface, recipe)
        return self._result(folder, [folder / path.relative_to(part) for path in written], mesh)

    # ---------------------------------------------------------------------------------------------- rendering

    def _films(self, report: Report) -> list[Film]:
        """Render all heads: the sources first, then everything with the style on."""
        compare = self._views.side_by_side
        passes = len(self._heads) * (2 if compare else 1)
        with report.progress(total=passes * len(self._yaws_deg), label="Rendering", unit="view") as shown:
            sources = self._pass(shown, 0) if compare else [None] * len(self._heads)
            self._style_on()
            frames = self._pass(shown, len(self._heads) if compare else 0)
        return [Film(*item) for item in zip(self._heads, frames, sources, strict=True)]

    def _pass(self, shown: Progress, first: int) -> list[Pixels]:
        """Render every head once around; `first` counts the heads before, for the progress."""
        before = first * len(self._yaws_deg)
        frames = []
        for head in self._heads:
            frames.append(
                render_views(
                    self._generator,
                    head.ws,
                    self._yaws_deg,
                    pitch_deg=self._views.pitch_deg,
                    backdrop=self._views.background,
                    done=functools.partial(_show, shown, before),
                )
            )
            before += len(self._yaws_deg)
        return frames

    def _style_on(self) -> None:
        if self._styles:
            mix_styles([(choice.style, choice.strength) for choice in self._styles]).apply(self._generator)
        else:
            remove_styles(self._generator)

    # ------------------------------------------------------------------------------------------------- files

    def _write_film(self, folder: Path, film: Film, formats: Sequence[str]) -> list[Path]:
        """Write one head; with several heads every file carries the head's name."""
        name = "turntable" if len(self._heads) == 1 else film.head.name
        recipe = {**self._recipe(), "head": film.head.name}
        written = []
        for suffix, write in (("mp4", write_mp4), ("webp", write_webp), ("gif", write_gif)):
            if suffix in formats:
                written.append(folder / f"{name}.{suffix}")
                write(written[-1], film.shown(), recipe, fps=self._views.fps)
        if "frames" in formats:
            (folder / "frames").mkdir(exist_ok=True)
            inside = folder / "frames" if len(self._heads) == 1 else folder / "frames" / film.head.name
            write_frames(inside, film.shown(), recipe, yaws_deg=self._yaws_deg)
            written.append(inside)
        return written

    def _sheet(self, films: Sequence[Film]) -> Pixels:
        title = " + ".join(choice.prompt for choice in self._styles)
        if len(films) == 1 and films[0].source is None:
            return _sheet_of_one(films[0], self._yaws_deg, title)
        picked = _evenly(len(self._yaws_deg), SHEET_VIEWS_OF_MANY)
        rows = []
        for film in films:
            label = film.head.name.replace("-", " ")
            if film.source is not None:
                rows.append(SheetRow(label, film.source[picked]))
                label = "stylised"
            rows.append(SheetRow(label, film.frames[picked], joined=film.source is not None))
        headings = angle_headings([self._yaws_deg[index] for index in picked])
        return contact_sheet(rows, title=title, headings=headings)

    def _surface(self, request: MeshRequest, report: Report) -> Mesh:
        report.note(f"Finding the surface on a grid of {request.resolution} points a side.")
        ws = self._heads[0].ws
        return extract_mesh(self._generator, ws, resolution=request.resolution, level=request.level)

    # ------------------------------------------------------------------------------------------------ words

    def _name(self) -> str:
        heads = self._heads[0].name
        if len(self._heads) > 1:
            heads += f"-and-{len(self._heads) - 1}-more"
        return "-".join([heads, *(slugify(choice.prompt, limit=24) for choice in self._styles)])

    def _recipe(self) -> dict[str, Any]:
        return {
            "command": "render",
            "prompt": " + ".join(choice.prompt for choice in self._styles),
            "heads": [head.name for head in self._heads],
            "styles": [choice.recipe() for choice in self._styles],
            "yaw_steps": self._views.yaw_steps,
            "pitch_deg": self._views.pitch_deg,
            "background": self._views.background,
            **self._facts,
        }

    def _result(self, folder: Path, written: Sequence[Path], mesh: MeshRequest | None) -> Result:
        meshes = () if mesh is None else (mesh.path,)
        rows = [
            ("folder", folder),
            *((_label(path), path) for path in written),
            *(("mesh", m) for m in meshes),
        ]
        data = {
            **self._recipe(),
            "folder": folder,
            "files": list(written),
            "mesh": meshes[0] if meshes else None,
        }
        return Result(primary=(folder, *meshes), rows=tuple(rows), data=data)


def _show(shown: Progress, before: int, count: int) -> None:
    shown.update(before + count)


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Say no when files cannot go to `folder`.

    Raises:
        UsageError: It is a file, or holds something that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; renders need a folder.", "choose another --out")
    check_parents(folder)
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is not empty and was not made by render.", "choose another --out")
    if not overwrite:
        raise UsageError(f"{folder} already holds a render.", "add --overwrite, or choose another --out")


@contextmanager
def whole_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `folder` only when the block succeeds.

    Args:
        folder: Final path; folders above it are made.
        overwrite: Replace the render that is there.

    Raises:
        UsageError: See `check_folder`.
        OSError: As the file system says; `folder` is then as it was before.
    """
    check_folder(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    tag = secrets.token_hex(4)
    part, old = (folder.with_name(f".{folder.name}.{tag}.{kind}") for kind in ("part", "old.part"))
    try:
        part.mkdir()
        yield part
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
    except BaseException:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise
    finally:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _sheet_of_one(film: Film, yaws_deg: Sequence[float], title: str) -> Pixels:
    """All views of one head, wrapped into rows that are labelled with the angle of their first view."""
    picked = _evenly(len(yaws_deg), SHEET_FRAMES)
    columns = min(SHEET_COLUMNS, len(picked))
    rows = []
    for start in range(0, len(picked), columns):
        cells = film.frames[picked[start : start + columns]]
        missing = np.full((columns - len(cells), *cells.shape[1:]), 255, np.uint8)
        label = angle_headings([yaws_deg[picked[start]]])[0]
        rows.append(SheetRow(label, np.concatenate([cells, missing]), joined=start > 0))
    return contact_sheet(rows, title=" ".join(filter(None, [film.head.name.replace("-", " "), title])))


def _evenly(count: int, most: int) -> list[int]:
    """Up to `most` of `count` indices, evenly spread from the first."""
    wanted = min(count, most)
    return [index * count // wanted for index in range(wanted)]


def _free(path: Path) -> Path:
    """`path`, or the first of `path-2`, `path-3`, ... that does not exist."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def _label(path: Path) -> str:
    if path.name == SHEET:
        return "contact sheet"
    return path.suffix[1:] or "frames"
