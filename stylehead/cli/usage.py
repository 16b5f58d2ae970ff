"""Wrong usage in this program's own words: which option, what was given, and what may be."""

import re
from typing import Any

from stylehead.jobs.failures import Failure
from stylehead.jobs.refusals import fault_of, nearest_choice, rule_of


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
        message, hint = refusal(error, f"`{_spelling(parameter)}`"), nearest_choice(fault_of(error))
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
    fault = fault_of(error)
    rule = rule_of(fault)
    if rule is None:
        words = re.sub(r"^Value error, ", "", error.message.strip()).rstrip(".")
        return f"{name}: {words}."
    return f"{name} (={fault['input']}) must be {rule}."


def _spelling(parameter: Any) -> str:
    """An option as it is typed, an argument as the help calls it."""
    long = [name for name in parameter.opts if name.startswith("--")]
    return str((long or [parameter.metavar or parameter.name.upper()])[0])
