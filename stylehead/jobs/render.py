"""A render job: heads from all sides in memory, as single files, or in a folder that appears as a whole."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import UsageError
from stylehead.export.frames import TRANSPARENT, Look, render_frames
from stylehead.export.mesh import PAINTED_VIEWS, Mesh, extract_mesh
from stylehead.export.mesh_files import save_mesh
from stylehead.export.orbit import Shot, orbit, sway
from stylehead.export.recipe import save_image
from stylehead.export.video import (
    write_frames,
    write_gif,
    write_mp4,
    write_webm,
    write_webp,
)
from stylehead.files import check_parents, clear_leftovers, write_json
from stylehead.folders import claim, hold, replaced
from stylehead.generator import PanoHead, mix_styles, remove_styles
from stylehead.images import Pixels
from stylehead.jobs import environment
from stylehead.jobs.arguments import RenderArguments
from stylehead.jobs.checks import (
    check_mesh,
    check_render,
    chosen_seeds,
    latent_files,
    parse_formats,
    view_count,
)
from stylehead.jobs.morph import morph
from stylehead.jobs.named_heads import NamedHead, StyleChoice, latent_heads, load_styles, seed_heads
from stylehead.jobs.render_folder import MANIFEST, check_folder, listed_files
from stylehead.jobs.render_sheet import Film, draw_sheet
from stylehead.jobs.report import ProgressView, Report
from stylehead.weights.presets import resolve_preset

RENDERS = Path("renders")
FILMS = {"mp4": write_mp4, "webp": write_webp, "gif": write_gif, "webm": write_webm}
"""Kinds of films, and what writes them."""
SHEET = "contact_sheet.jpg"


def render(arguments: RenderArguments, report: Report) -> "Rendered":
    """Render heads from all sides; nothing is written.

    Args:
        arguments: What was asked for.
        report: Where progress goes.

    Raises:
        UsageError: The arguments do not go together.
        StyleheadError: Weights, heads or styles cannot be used.
    """
    check_render(arguments)
    if arguments.out is not None:
        check_folder(arguments.out, overwrite=arguments.overwrite)
    weights, why = resolve_preset(arguments.preset)
    report.note(why)
    generator = PanoHead.load(weights.require_generator(), environment.choose_device(arguments.device))
    styles = load_styles(generator, arguments.style, arguments.strength)
    files = latent_files(arguments)
    seeds = chosen_seeds(arguments)
    heads = latent_heads(generator, files) if files else seed_heads(generator, seeds, psi=arguments.psi)
    if arguments.mesh is not None:
        check_mesh(arguments, arguments.mesh, heads=len(heads))
    facts = {"preset": weights.name, "psi": arguments.psi, "licence": weights.licence}
    return _Studio(generator, heads, styles, arguments, report).render(facts)


class _Studio:
    """Renders heads, first without the styles where that is compared, then with them."""

    def __init__(
        self,
        generator: PanoHead,
        heads: Sequence[NamedHead],
        styles: Sequence[StyleChoice],
        arguments: RenderArguments,
        report: Report,
    ) -> None:
        self._generator, self._heads, self._styles = generator, heads, styles
        self._arguments, self._report = arguments, report
        self._shots, self._look = shots_of(arguments), Look(arguments.size, arguments.background)

    def render(self, facts: dict[str, Any]) -> "Rendered":
        films = self._films()
        mesh = self._surface() if self._arguments.mesh is not None else None
        base = self._generator.fingerprint()
        return Rendered(tuple(films), tuple(self._styles), mesh, self._arguments, facts, base)

    def _films(self) -> list[Film]:
        """Render all heads: the sources first, then everything with the style on."""
        if self._arguments.morph:
            return [self._morph()]
        compare = self._arguments.side_by_side
        passes = len(self._heads) * (2 if compare else 1)
        with self._report.progress(total=passes * len(self._shots), label="Rendering", unit="view") as shown:
            sources = self._pass(shown, 0) if compare else [None] * len(self._heads)
            self._style_on()
            frames = self._pass(shown, len(self._heads) if compare else 0)
        return [Film(*item) for item in zip(self._heads, frames, sources, strict=True)]

    def _morph(self) -> Film:
        """One film through all heads, or all styles."""
        with self._report.progress(total=len(self._shots), label="Rendering", unit="view") as shown:
            done = functools.partial(_show, shown, 0)
            frames = morph(self._generator, self._heads, self._styles, self._shots, self._look, done)
        name = "-".join(head.name for head in self._heads[:_NAMED])
        return Film(NamedHead(name, self._heads[0].ws), frames, None)

    def _pass(self, shown: ProgressView, first: int) -> list[Pixels]:
        """Render every head once around; `first` counts the heads before, for the progress."""
        before = first * len(self._shots)
        frames = []
        for head in self._heads:
            frames.append(
                render_frames(
                    self._generator,
                    head.ws,
                    self._shots,
                    self._look,
                    done=functools.partial(_show, shown, before),
                )
            )
            before += len(self._shots)
        return frames

    def _style_on(self) -> None:
        if self._styles:
            mix_styles([(choice.style, choice.strength) for choice in self._styles]).apply(self._generator)
        else:
            remove_styles(self._generator)

    def _surface(self) -> Mesh:
        arguments = self._arguments
        self._report.note(f"Finding the surface on a grid of {arguments.mesh_resolution} points a side.")
        with self._report.progress(total=PAINTED_VIEWS, label="Painting the mesh", unit="view") as shown:
            return extract_mesh(
                self._generator,
                self._heads[0].ws,
                resolution=arguments.mesh_resolution,
                level=arguments.mesh_level,
                triangles=arguments.triangles,
                done=functools.partial(_show, shown, 0),
            )


@dataclass(frozen=True, eq=False)
class Rendered:
    """Heads from all sides, in memory; see `save` and `write`."""

    films: tuple[Film, ...]
    """One film a head."""
    styles: tuple[StyleChoice, ...]
    """What acted on all of them."""
    mesh: Mesh | None
    """The surface of the first head, if it was asked for."""
    arguments: RenderArguments
    """What was asked for."""
    facts: dict[str, Any]
    """Further entries of the recipe."""
    base: str
    """Fingerprint of the generator."""

    @property
    def images(self) -> Pixels:
        """Return the pictures of the first head, uint8 [V, H, W, 3]."""
        return self.films[0].shown()

    @property
    def shots(self) -> tuple[Shot, ...]:
        """Return the camera of every picture."""
        return tuple(shots_of(self.arguments))

    @property
    def yaws_deg(self) -> tuple[float, ...]:
        """Return the direction of every picture, degrees."""
        return tuple(shot.yaw_deg for shot in self.shots)

    def save(self, path: Path | str) -> Path:
        """Write the first head as one file, of the kind that its name says; returns its path.

        Args:
            path: Ends in .mp4, .webm, .webp or .gif (a film), .jpg or .png (a sheet), or as a mesh, if one
                was made. Opacity is kept by all films but .mp4.

        Raises:
            UsageError: It ends in something else.
        """
        path = Path(path)
        suffix, recipe = path.suffix.lower(), self._recipe(self.films[0])
        check_parents(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path.parent)
        if suffix[1:] in FILMS:
            FILMS[suffix[1:]](path, self.images, recipe, fps=self.arguments.fps)
        elif suffix in (".jpg", ".jpeg", ".png"):
            save_image(path, self.sheet(), self.recipe())
        elif self.mesh is not None:
            save_mesh(path, self.mesh, {**recipe, "level": self.arguments.mesh_level})
        else:
            raise UsageError(f"{path} must end in .mp4, .webm, .webp, .gif, .jpg or .png.")
        return path

    def write(self) -> "RenderFolder":
        """Write the kinds of files that were asked for into a folder, which appears as a whole.

        Raises:
            UsageError: The folder holds something else.
            OSError: As the file system says; the folder is then as it was before.
        """
        with self._folder() as folder:
            old = listed_files(folder)
            with replaced(folder, MANIFEST, old) as part:
                names = [str(path.relative_to(part)) for path in self._write_into(part)]
                every = sorted(
                    path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file()
                )
                write_json(part / MANIFEST, {**self.recipe(), "files": every})
        mesh = None if self.arguments.mesh is None else self.save(self.arguments.mesh)
        return RenderFolder(folder, tuple(folder / name for name in names), mesh)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Hold the folder that was asked for, or the first free one of the usual name."""
        asked = self.arguments.out
        if asked is None:
            usual = RENDERS / self._name()
            names = (usual.with_name(f"{usual.name}-{number}") for number in itertools.count(2))
            for folder in itertools.chain([usual], names):
                if (held := claim(folder)) is not None:
                    with held:
                        yield folder
                    return
        assert asked is not None
        check_folder(asked, overwrite=self.arguments.overwrite)
        with hold(asked, "rendering into"):
            check_folder(asked, overwrite=self.arguments.overwrite)  # another process may have been faster
            yield asked

    def _write_into(self, folder: Path) -> list[Path]:
        formats = with_opacity(parse_formats(self.arguments.format), self.arguments.background)
        written = [path for film in self.films for path in self._write_film(folder, film, formats)]
        if "sheet" in formats:
            save_image(folder / SHEET, self.sheet(), self.recipe())
            written.append(folder / SHEET)
        return written

    def _write_film(self, folder: Path, film: Film, formats: Sequence[str]) -> list[Path]:
        """Write one head; with several heads every file carries the head's name."""
        alone = len(self.films) == 1
        name = "morph" if self.arguments.morph else "turntable" if alone else film.head.name
        recipe = self._recipe(film)
        written = []
        for suffix, write in FILMS.items():
            if suffix in formats:
                written.append(folder / f"{name}.{suffix}")
                write(written[-1], film.shown(), recipe, fps=self.arguments.fps)
        if "frames" in formats:
            (folder / "frames").mkdir(exist_ok=True)
            inside = folder / "frames" if alone else folder / "frames" / film.head.name
            write_frames(inside, film.shown(), recipe, shots=self.shots)
            written.append(inside)
        return written

    def sheet(self) -> Pixels:
        """Draw all heads on one sheet, uint8 [H, W, 3]."""
        title = " + ".join(choice.title for choice in self.styles)
        return draw_sheet(self.films, self.shots, title)

    def _name(self) -> str:
        heads = self.films[0].head.name
        if len(self.films) > 1:
            heads += f"-and-{len(self.films) - 1}-more"
        return "-".join([heads, *(choice.folder_name for choice in self.styles)])

    def recipe(self) -> dict[str, Any]:
        """Return what files remember of how they were made."""
        return {
            "command": "render",
            "prompt": " + ".join(choice.prompt for choice in self.styles),
            "heads": [film.head.name for film in self.films],
            "styles": [choice.recipe() for choice in self.styles],
            "yaw_steps": len(self.shots),
            "pitch_deg": self.arguments.pitch,
            "background": self.arguments.background,
            **{name: value for name in _FURTHER if (value := getattr(self.arguments, name))},
            **self.facts,
        }

    def _recipe(self, film: Film) -> dict[str, Any]:
        return {**self.recipe(), "head": film.head.name}


_FURTHER = ("size", "seconds", "pitch_swing", "morph")
"""Arguments that recipes name where they were given."""
_NAMED = 4


def shots_of(arguments: RenderArguments) -> list[Shot]:
    """Return the camera of every picture of a film."""
    count = view_count(arguments)
    if arguments.morph:
        return sway(count, pitch_deg=arguments.pitch)
    return orbit(count, pitch_deg=arguments.pitch, swing_deg=arguments.pitch_swing, easing=arguments.easing)


def with_opacity(formats: Sequence[str], background: str) -> list[str]:
    """Take WebM in place of mp4, which has no opacity, where the background is transparent."""
    if background != TRANSPARENT:
        return list(formats)
    return list(dict.fromkeys("webm" if name == "mp4" else name for name in formats))


class RenderFolder(NamedTuple):
    """What was written."""

    folder: Path
    files: tuple[Path, ...]
    mesh: Path | None


def _show(shown: ProgressView, before: int, count: int) -> None:
    shown.update(before + count)
