"""What pydantic finds wrong with a value, in this program's words. Pydantic reads values for typer."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

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


def fault_of(error: BaseException) -> dict[str, Any]:
    """Return what pydantic found first, of an error that was raised from its own; empty where it was not."""
    found = getattr(error.__cause__, "errors", None)
    return {} if found is None else dict(found()[0])


def rule_of(fault: Mapping[str, Any]) -> str | None:
    """Return what follows "must be" in a sentence about a fault; None where there are no words of ours."""
    kind = fault.get("type", "")
    if kind in _RANGES:
        return _RANGES[kind].format(**fault["ctx"])
    choices = _choices(fault)
    if choices:
        return f"one of {', '.join(choices)}"
    return next((words for begin, words in _KINDS.items() if kind.startswith(f"{begin}_")), None)


def nearest_choice(fault: Mapping[str, Any]) -> str | None:
    """Return the hint of a fault: what may have been meant, of a few that there are."""
    near = difflib.get_close_matches(str(fault.get("input", "")).lower(), _choices(fault), n=1)
    return f"did you mean {near[0]}?" if near else None


def _choices(fault: Mapping[str, Any]) -> list[str]:
    listed = re.search(r" is not one of (.*?)\.?$", fault.get("msg", ""))
    return [] if listed is None else re.findall(r"'([^']*)'", listed[1])
