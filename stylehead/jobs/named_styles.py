"""Styles by name: those that come with the package, those that the user added, those of runs."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from stylehead.errors import JobError, UsageError, quoted, tensor_damage
from stylehead.files import atomic_path, user_path
from stylehead.folders import remove
from stylehead.jobs.job import RUNS
from stylehead.runs import slugify
from stylehead.weights import store

PACKAGE_STYLES = Path(__file__).parents[1] / "mini" / "styles"
STYLE_FILE = "style.safetensors"
SUFFIX = ".safetensors"
Source = Literal["package", "yours", "run"]


class KnownStyle(NamedTuple):
    """A style that has a name."""

    name: str
    path: Path
    source: Source
    """Who brought it: the package, the user (`stylehead styles add`), or a run."""


def added_folder() -> Path:
    """Where the styles lie that the user added; it need not exist."""
    return store.home() / "styles"


def known_styles() -> list[KnownStyle]:
    """Return all styles that have a name here: those of the package, then the user's, then those of runs.

    Names are unique: whoever comes first keeps a name. Of runs only those in `runs` are named.
    """
    found = [
        *_inside(PACKAGE_STYLES, "package"),
        *_inside(added_folder(), "yours"),
        *(KnownStyle(path.parent.name, path, "run") for path in sorted(RUNS.glob(f"*/{STYLE_FILE}"))),
    ]
    first = {style.name: style for style in reversed(found)}
    return [style for style in found if first[style.name] is style]


def _inside(folder: Path, source: Source) -> list[KnownStyle]:
    return [KnownStyle(path.stem, path, source) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def find_style(word: str | Path) -> Path:
    """Return the style file that is meant: a word with a separator or a suffix is a path, else a name.

    Args:
        word: `joker`, `mine/joker.safetensors`, or the folder of a run; a `Path` is always a path.

    Raises:
        UsageError: There is no such file or name.
    """
    if isinstance(word, Path) or is_path(word):
        return _file_at(user_path(Path(word)))
    styles = known_styles()
    for style in styles:
        if style.name == word:
            return style.path
    raise UsageError(f"There is no style `{word}`.", _instead(word, [style.name for style in styles]))


def find_styles(words: Sequence[str | Path]) -> list[Path]:
    """Return the files of several styles; see `find_style`."""
    return [find_style(word) for word in words]


def is_path(word: str) -> bool:
    """Whether a word means a path, not a name."""
    separators = {"/", os.sep, os.altsep} - {None}
    return (
        any(sign in word for sign in separators if sign) or bool(Path(word).suffix) or word[:1] in ("~", ".")
    )


def _file_at(path: Path) -> Path:
    if path.is_dir():
        inside = path / STYLE_FILE
        if not inside.is_file():
            raise UsageError(f"`--style` (={path}) is a folder without a {STYLE_FILE}.")
        return inside
    if not path.exists():
        raise UsageError(f"`--style` (={path}) does not exist.", _instead_of(path))
    return path


def find_named(word: Path) -> Path:
    """Return the file of the style that a word names where no file is called so.

    Raises:
        UsageError: No style is called so either.
    """
    for style in known_styles():
        if style.name == str(word):
            return style.path
    raise UsageError(f"{word} does not exist.", _instead_of(word))


def _instead_of(path: Path) -> str | None:
    """The run that may be meant, such as another one of the same prompt."""
    runs = {style.name: style.path.parent for style in known_styles() if style.source == "run"}
    near = difflib.get_close_matches(path.name, runs, n=1)
    return f"did you mean {quoted(runs[near[0]])}?" if near else None


def _instead(word: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, names, n=1)
    if Path(word).exists():
        return f"--style {quoted(f'./{word}')} is the file or folder"
    return f"did you mean `{near[0]}`?" if near else "stylehead styles lists them"


def add_style(path: Path, name: str | None = None) -> KnownStyle:
    """Copy a style to where it has a name from everywhere.

    Args:
        path: A style file, or a run.
        name: What it is to be called; the file's name, or the prompt of a run, when None.

    Raises:
        UsageError: The name is taken, or is none.
        StyleheadError: It is no style that can be read.
    """
    from stylehead.generator import load_style

    source = _file_at(path)
    style = load_style(source)
    chosen = name or (style.metadata.get("stylehead.prompt") if source.name == STYLE_FILE else source.stem)
    chosen = slugify(chosen or source.stem) if name is None else name
    if is_path(chosen) or slugify(chosen) != chosen:
        raise UsageError(f"`--name` (={chosen}) must be small letters and digits joined by hyphens.")
    taken = next((each for each in known_styles() if each.name == chosen), None)
    if taken is not None:
        hint = f"stylehead styles remove {chosen}" if taken.source == "yours" else "choose another --name"
        raise UsageError(f"There is a style `{chosen}` already ({taken.path}).", hint)
    target = added_folder() / f"{chosen}{SUFFIX}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as part:
        part.write_bytes(source.read_bytes())
    return KnownStyle(chosen, target, "yours")


def remove_style(name: str) -> Path:
    """Remove a style that the user added; nothing else is ever removed.

    Raises:
        UsageError: The user added none of that name.
    """
    mine = [style for style in known_styles() if style.source == "yours"]
    for style in mine:
        if style.name == name:
            remove(style.path)
            return style.path
    raise UsageError(f"You added no style `{name}`.", _instead(name, [style.name for style in mine]))


class StyleFacts(NamedTuple):
    """What a style's file says."""

    style: KnownStyle
    about: dict[str, str]
    """Prompt, method, seed, preset, licence and others, as far as they are known."""
    base: str | None
    """Fingerprint of the generator that it was made for."""
    problem: str | None
    """Why it cannot be read."""


def read_facts(style: KnownStyle) -> StyleFacts:
    """Read a style's header, and none of its numbers; a damaged file becomes a sentence."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(style.path, framework="numpy") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        return StyleFacts(style, {}, None, f"the file {tensor_damage(error)}")
    about = {key.removeprefix("stylehead."): value for key, value in header.items()}
    return StyleFacts(style, about, about.pop("base", None), None)


def fitting_style(base: str) -> str | None:
    """Return the name of the first style that a generator can wear; None where there is none.

    Args:
        base: The generator's fingerprint.
    """
    return next((style.name for style in known_styles() if read_facts(style).base == base), None)


def remake_command(metadata: dict[str, str]) -> str | None:
    """Return the command that makes a style again for the generator of today, from its file's header."""
    about = {key.removeprefix("stylehead."): value for key, value in metadata.items()}
    if "prompt" not in about or about.get("method") in (None, "pti"):
        return None
    words = ["--prompt", about["prompt"], "--method", about["method"]]
    words += ["--seed", about["seed"]] if about.get("seed", "0") != "0" else []
    return "stylehead stylize " + " ".join(quoted(word) for word in words)


def strange_base(path: Path, *, base: str, metadata: dict[str, str], generator: str) -> JobError:
    """Return the error of a style that was made for another generator."""
    again = remake_command(metadata)
    preset = metadata.get("stylehead.preset", "unknown")
    return JobError(
        f"{path} was trained on another generator ({base[:12]}) than this one ({generator[:12]}).",
        f"it was made with the preset {preset}" + (f"; to make it again: {again}" if again else ""),
    )
