"""The command line that makes a run again, from what the run remembers."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stylehead.errors import JobError, UsageError, quoted
from stylehead.jobs.arguments import StylizeArguments
from stylehead.methods.config import PROFILES, StylizeConfig
from stylehead.methods.qualities import start_settings
from stylehead.runs import MANIFEST, RunDirectory
from stylehead.settings import flag
from stylehead.weights.presets import find_preset


def command_of(path: Path) -> str:
    """Return the words that make a run again, as a shell takes them.

    The words of a style set every setting that is not the default, however the run itself was asked for;
    those of an inversion are the ones that were typed.

    Raises:
        UsageError: The path is no run.
        JobError: It was made from Python and only Python can say it, or its manifest is damaged.
    """
    manifest = RunDirectory.open(path).manifest()
    if manifest.get("job") != "invert":
        return shlex.join(stylize_words(manifest, path))
    typed = str(manifest.get("command", ""))
    if not re.match(r"stylehead (?!.*--resume)", typed):
        raise JobError(f"{path} was not made by one command line: {typed or 'it has none'}.")
    return typed


def stylize_words(manifest: Mapping[str, Any], path: Path) -> list[str]:
    """Return the words of a stylise job with a run's settings.

    Raises:
        JobError: The settings in the manifest cannot be used, or no words say them.
    """
    try:
        config = StylizeConfig.from_dict(manifest.get("config", {}))
    except UsageError as error:
        raise JobError(f"The settings in {path / MANIFEST} cannot be used: {error.message}") from error
    full_scale = find_preset(config.preset).preset.vocabulary is None
    ways = [found for name in PROFILES if (found := _from_profile(config, name, full_scale)) is not None]
    if not ways:
        hint = f"stylehead stylize --config {quoted(path / 'config.json')}"
        raise JobError(f"The settings of {path} cannot be said in words.", hint)
    keep = manifest.get("keep_checkpoints", StylizeArguments.keep_checkpoints)
    kept = [] if keep == StylizeArguments.keep_checkpoints else ["--keep-checkpoints", str(keep)]
    return ["stylehead", "stylize", *min(ways, key=len), *kept]


def _from_profile(config: StylizeConfig, name: str, full_scale: bool) -> list[str] | None:
    """Return the words that lead from a profile to settings; None where an option cannot unset a value."""
    values = start_settings(name, None, config.method, full_scale=full_scale)
    usual = StylizeConfig.from_dict({**values, "prompt": config.prompt}).to_dict()
    words = ["--prompt", config.prompt, "--method", config.method]
    words += [] if name == PROFILES[0] else ["--profile", name]
    for setting, value in config.to_dict().items():
        if value == usual[setting]:
            continue
        if value is None or value == []:
            return None
        words += _words(setting, value)
    return words


def _words(setting: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield flag(setting) if value else f"--no-{flag(setting)[2:]}"
    elif not isinstance(value, list):
        yield from (flag(setting), str(value))
    elif all(isinstance(entry, str) for entry in value):
        yield from (word for entry in value for word in (flag(setting), entry))
    elif all(isinstance(entry, int) for entry in value):
        yield from (flag(setting), *map(str, value))
    else:
        yield from (flag(setting), ",".join(map(str, value)))
