"""What can be refused before anything heavy is imported or any work is done."""

import re
from collections.abc import Sequence
from pathlib import Path

from stylehead.errors import UsageError, quoted
from stylehead.files import check_parents
from stylehead.jobs.arguments import EvaluateArguments, InvertArguments, RenderArguments, given, option
from stylehead.jobs.named_styles import find_styles
from stylehead.settings import check_ranges

FORMATS = ("mp4", "frames", "sheet", "webp", "gif", "webm")
MAX_SEED = 2**32 - 1
MAX_STRENGTH = 2.0
MAX_YAW_STEPS = 720
MAX_PITCH_DEG = 60.0

# ---------------------------------------------------------------------------------------------------- render


def check_render(arguments: RenderArguments) -> None:
    """Check what was asked of `render`.

    Raises:
        UsageError: Arguments exclude each other, or one is out of range; the message names the option.
        MissingError: A package is missing.
    """
    check_ranges(arguments)
    if arguments.pitch_swing + abs(arguments.pitch) > MAX_PITCH_DEG:
        raise UsageError(
            f"`--pitch` and `--pitch-swing` must stay within {MAX_PITCH_DEG:g} degrees together."
        )
    parse_formats(arguments.format)
    view_count(arguments)
    if arguments.background not in ("white", "learned", "transparent"):
        from stylehead.export.views import parse_colour

        parse_colour(arguments.background)
    if arguments.side_by_side and not arguments.style:
        raise UsageError("`--side-by-side` needs a `--style` to compare with.")
    heads = len(chosen_seeds(arguments)) or len(latent_files(arguments))
    if arguments.mesh is not None:
        check_mesh(arguments, arguments.mesh, heads=heads)
    if arguments.morph:
        check_morph(arguments, heads)
    check_styles(arguments.style, arguments.strength)


def view_count(arguments: RenderArguments) -> int:
    """Return how many pictures a film has.

    Raises:
        UsageError: `--seconds` makes none, or too many, or goes with `--yaw-steps`.
    """
    if arguments.seconds is None:
        return arguments.yaw_steps
    if arguments.yaw_steps != RenderArguments.yaw_steps:
        raise UsageError("`--seconds` and `--yaw-steps` exclude each other.")
    count = round(arguments.seconds * arguments.fps) if arguments.seconds < 1e6 else 0
    if not 1 <= count <= MAX_YAW_STEPS:
        raise UsageError(
            f"`--seconds` (={arguments.seconds:g}) must make 1 to {MAX_YAW_STEPS} pictures, "
            f"{arguments.fps} a second."
        )
    return count


def check_morph(arguments: RenderArguments, heads: int) -> None:
    """Check that a film can go from something to something.

    Raises:
        UsageError: There is nothing to go to, there are two ways to go, or it goes with something else.
    """
    if arguments.mesh is not None or arguments.side_by_side:
        other = "--mesh" if arguments.mesh is not None else "--side-by-side"
        raise UsageError(f"`--morph` does not go with `{other}`.")
    if heads == 1 and not arguments.style:
        raise UsageError("`--morph` needs several heads or a style.", "--seeds 1,4,7 --morph")
    if heads > 1 and len(arguments.style) > 1:
        raise UsageError("`--morph` goes through several heads or several styles, not both.", "use --seed")


def chosen_seeds(arguments: RenderArguments) -> list[int]:
    """Return the seeds to draw; none when heads come from files.

    Raises:
        UsageError: Heads were chosen in two ways, or `seeds` is no list.
    """
    ways = {
        "--seed": arguments.seed is not None,
        "--seeds": arguments.seeds is not None,
        "--latent": bool(arguments.latent),
    }
    used = [name for name, was in ways.items() if was]
    if len(used) > 1:
        raise UsageError(f"`{used[0]}` and `{used[1]}` exclude each other.")
    if arguments.latent:
        return []
    if arguments.seeds is not None:
        return parse_seeds(arguments.seeds)
    return [arguments.seed or 0]


def latent_files(arguments: RenderArguments) -> list[Path]:
    """Return the latent files that are meant, those of folders in order."""
    if not arguments.latent:
        return []
    from stylehead.inversion.latent_files import find_latents

    return [file for path in arguments.latent for file in find_latents(path)]


def parse_seeds(text: str, *, most: int = 1000) -> list[int]:
    """Read "1,2,5-8"; a range holds at most so many.

    Raises:
        UsageError: It is no such list.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise UsageError(f"`--seeds` (={text}) must be a list like 1,2,5-8.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= most or last > MAX_SEED:
            raise UsageError(
                f"`--seeds` (={text}) must name up to {most} seeds from 0 to {MAX_SEED}, in order."
            )
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def parse_formats(text: str) -> list[str]:
    """Read "mp4,sheet".

    Raises:
        UsageError: A format is unknown, or there is none.
    """
    wanted = [part.strip().lower() for part in text.split(",") if part.strip()]
    for name in wanted:
        if name not in FORMATS:
            raise UsageError(f"`--format` (={name}) must be any of {', '.join(FORMATS)}, joined by commas.")
    if not wanted:
        raise UsageError(f"`--format` must name at least one of {', '.join(FORMATS)}.")
    return list(dict.fromkeys(wanted))


def check_mesh(arguments: RenderArguments, path: Path, *, heads: int) -> None:
    """Check that a mesh can be made.

    Raises:
        UsageError: Its path or numbers make no sense.
        MissingError: A package is missing.
    """
    from stylehead.export.mesh import require_mesh_tools
    from stylehead.export.mesh_files import check_mesh_path, mesh_outputs

    check_mesh_path(path)
    check_parents(path)
    check_ranges(arguments)
    if heads != 1:
        raise UsageError("`--mesh` makes one head at a time.", "use --seed")
    if path.is_dir():
        raise UsageError(f"`--mesh` (={path}) is a folder, not a file.")
    for output in mesh_outputs(path):
        if output.exists() and not arguments.overwrite:
            raise UsageError(f"{output} exists already.", "add --overwrite, or choose another name")
    require_mesh_tools()


def check_styles(styles: Sequence[str | Path], strengths: Sequence[float]) -> None:
    """Check what can be checked without reading the files.

    Args:
        styles: Any number.
        strengths: None, one for all styles, or one for each.

    Raises:
        UsageError: The numbers differ, a strength is out of range, or there is no such style.
    """
    if strengths and not styles:
        raise UsageError("`--strength` needs a `--style`.")
    if len(strengths) > 1 and len(strengths) != len(styles):
        raise UsageError(
            f"`--strength` was given {len(strengths)} times, `--style` {len(styles)} times.",
            "give one strength for all styles, or one for each in the same order",
        )
    for strength in strengths:
        if not 0 <= strength <= MAX_STRENGTH:
            raise UsageError(f"`--strength` (={strength:g}) must be between 0 and {MAX_STRENGTH:g}.")
    find_styles(styles)


def check_file(path: Path, option: str) -> None:
    """Raise UsageError unless a path is a file; says what is there instead."""
    if path.is_dir():
        raise UsageError(f"`{option}` (={path}) is a folder, not a file.")
    if not path.exists():
        raise UsageError(f"`{option}` (={path}) does not exist.")


# ---------------------------------------------------------------------------------------------------- invert


def check_invert(arguments: InvertArguments) -> None:
    """Check what needs no file.

    Raises:
        UsageError: Arguments exclude each other, or a number is out of range.
    """
    check_ranges(arguments)
    if arguments.camera is not None and not arguments.aligned:
        raise UsageError("`--camera` is for pictures that are cropped already.", "add --aligned")
    if arguments.face is not None and arguments.aligned:
        raise UsageError("`--face` and `--aligned` exclude each other: an aligned picture shows one head.")
    if arguments.fail_under is not None:
        least_likeness(arguments.fail_under)
    if arguments.resume is None:
        return
    for name in given(arguments):
        if name not in ("resume", "pti", "pti_steps", "device", "fail_under"):
            hint = f"stylehead invert --resume {quoted(arguments.resume)}"
            raise UsageError(f"`{option(name)}` does not go with `--resume`.", hint)


def least_likeness(text: str) -> float | None:
    """Read a similarity, or None for "likeness": from where on it is one.

    Raises:
        UsageError: It is neither.
    """
    if text.strip().lower() == "likeness":
        return None
    try:
        value = float(text)
        if not -1 <= value <= 1:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"`--fail-under` (={text}) must be a similarity from -1 to 1, or likeness."
        ) from None
    return value


# -------------------------------------------------------------------------------------------------- evaluate


def check_evaluate(arguments: EvaluateArguments) -> None:
    """Check what was asked of `eval`.

    Raises:
        UsageError: Arguments exclude each other, or one is out of range; the message names the option.
    """
    check_ranges(arguments)
    _ = arguments.yaws_deg
    if arguments.ablation and arguments.methods is not None:
        raise UsageError("`--ablation` and `--methods` exclude each other.")
    if arguments.iterations is not None and not arguments.trains:
        hint = "add --methods all, or --ablation"
        raise UsageError("`--iterations` is for runs that are trained here.", hint)
    if arguments.minutes is not None:
        if arguments.methods is None:
            raise UsageError("`--minutes` is for methods that are trained here.", "add --methods all")
        if arguments.iterations is not None:
            raise UsageError("`--minutes` and `--iterations` exclude each other.")
    if any(not prompt.strip() for prompt in arguments.prompts):
        raise UsageError("`--prompts` is empty.", "--prompts paper")
    _check_output("--csv", arguments.csv, (".csv",))
    _check_output("--report", arguments.report, (".html", ".htm"))


def _check_output(name: str, path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Whether a file can be written, before any work is done."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"`{name}` (={path}) must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise UsageError(f"`{name}` (={path}) is a folder, not a file.")
    check_parents(path)
