"""Wrong usage in this program's own words: which option, what was given, and what may be."""

import difflib
import re
from typing import Any

from stylehead.jobs.failures import Failure

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
}
"""What a value must be, by how the names of pydantic's errors begin."""
_RANGES = {
    "greater_than_equal": "at least {ge:.12g}",
    "greater_than": "above {gt:.12g}",
    "less_than_equal": "at most {le:.12g}",
    "less_than": "below {lt:.12g}",
}


def usage_failure(error: Any) -> Failure:
    """Say a usage error of the command line as all errors are said.

    Args:
        error: As typer raises it.
    """
    message, hint = error.format_message().strip(), None
    near = re.search(r" (?:Did you mean |\((?:Possible options|Did you mean): )(.*?)[?)]+$", message)
    if near:
        message, hint = message[: near.start()], f"did you mean {near[1]}?"
    parameter = getattr(error, "param", None)
    if parameter is not None and message.startswith("Invalid value"):
        message, hint = refusal(error, f"`{_spelling(parameter)}`"), _nearest(error)
    lacks = re.fullmatch(r"Option '(.*)' requires (an|\d+) arguments?\.", message)
    if lacks:
        message = f"`{lacks[1]}` needs {'a value' if lacks[2] == 'an' else f'{lacks[2]} values'}."
    missing = re.fullmatch(r"Missing (?:argument|option|parameter) '(.*)'\.?", message)
    if missing:
        message = f"`{missing[1]}` is missing."
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "stylehead"
    free = re.search(r"unexpected extra argument\S* \((.*)\)", message)
    if free and command.endswith(" stylize"):
        hint = f'{command} --prompt "{free[1]}"'
    return Failure(message if message.endswith((".", "?")) else f"{message}.", hint or f"{command} --help", 2)


def refusal(error: Any, name: str) -> str:
    """Return the sentence of a value that an option cannot have.

    Args:
        error: A `typer.BadParameter`.
        name: Of the option, as the sentence calls it.
    """
    fault = _fault(error)
    rule = _rule(fault)
    if rule is None:
        words = re.sub(r"^Value error, ", "", error.message.strip()).rstrip(".")
        return f"{name}: {words}."
    return f"{name} (={fault['input']}) must be {rule}."


def _fault(error: Any) -> dict[str, Any]:
    """What pydantic found, which typer hands on as the cause of its error; empty where it found nothing."""
    found = getattr(error.__cause__, "errors", None)
    return {} if found is None else found()[0]


def _rule(fault: dict[str, Any]) -> str | None:
    """Return what follows "must be"."""
    kind = fault.get("type", "")
    if kind in _RANGES:
        return _RANGES[kind].format(**fault["ctx"])
    choices = _choices(fault)
    if choices:
        return f"one of {', '.join(choices)}"
    return next((words for begin, words in _KINDS.items() if kind.startswith(f"{begin}_")), None)


def _choices(fault: dict[str, Any]) -> list[str]:
    listed = re.search(r" is not one of (.*?)\.?$", fault.get("msg", ""))
    return [] if listed is None else re.findall(r"'([^']*)'", listed[1])


def _nearest(error: Any) -> str | None:
    fault = _fault(error)
    near = difflib.get_close_matches(str(fault.get("input", "")).lower(), _choices(fault), n=1)
    return f"did you mean {near[0]}?" if near else None


def _spelling(parameter: Any) -> str:
    """An option as it is typed, an argument as the help calls it."""
    long = [name for name in parameter.opts if name.startswith("--")]
    return str((long or [parameter.metavar or parameter.name.upper()])[0])
