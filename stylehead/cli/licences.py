"""Ask for the acceptance of a licence."""

import sys

import typer

from stylehead.cli.output import Output
from stylehead.errors import LicenseError
from stylehead.weights import catalogue, store
from stylehead.weights.catalogue import Entry


def ask_for_licence(entry: Entry, output: Output) -> None:
    """Make sure that a licence is accepted; on a terminal the user is asked.

    Raises:
        LicenseError: It is not.
    """
    if catalogue.accepted(entry.id):
        if entry.id not in store.licences() and entry.acceptance_needed:
            store.record_licence(entry.id)  # the variable says so: remember when
        return
    if not can_ask(output):
        catalogue.check_accepted(entry.id)
    output.note(f"{entry.title}: {entry.licence}. {entry.terms}\n{entry.licence_url}")
    if not typer.confirm("Do you accept these terms?", default=False, err=True):
        raise LicenseError(f"The licence of {entry.title} is not accepted.")
    store.record_licence(entry.id)


def can_ask(output: Output) -> bool:
    """Whether a person sits at a terminal."""
    return output.mode == "human" and sys.stdin.isatty() and sys.stderr.isatty()
