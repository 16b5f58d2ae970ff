"""What a terminal shows: ascii where it knows nothing else, and no chatter of libraries."""

import codecs
import logging
import os
import sys
import unicodedata
import warnings
from typing import TextIO

PLAIN = {
    "\u2026": "...", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00b0": " deg", "\u00d7": "x",
    "\u00b1": "+-", "\u2265": ">=", "\u2264": "<=", "\u2191": "^", "\u2193": "v", "\u2192": "->",
    "\u00b7": "-", "\u2044": "/", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
}  # fmt: skip
"""What is written for characters that ascii lacks."""
HANDLER = "stylehead-ascii"


def to_ascii(text: str) -> str:
    """Write text in ascii: signs are spelled, letters become escapes, so that names stay those of files."""
    return "".join(character if character.isascii() else _plain(character) for character in text)


def _plain(character: str) -> str:
    if character in PLAIN:
        return PLAIN[character]
    parts = unicodedata.normalize("NFKD", character)
    spelled = "".join(PLAIN.get(part, part) for part in parts).encode("ascii", "ignore").decode()
    return ("" if character.isalpha() else spelled) or character.encode("ascii", "backslashreplace").decode()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return to_ascii(error.object[error.start : error.end]), error.end


def prepare_streams() -> None:
    """Let stdout and stderr write what their encoding lacks in ascii, where else they would fail."""
    codecs.register_error(HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        prepare_stream(stream)


def prepare_stream(stream: TextIO) -> None:
    """Let one stream do so."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and not knows_unicode(stream):
        reconfigure(errors=HANDLER)


def knows_unicode(stream: TextIO) -> bool:
    """Return whether a stream writes every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def quiet_warnings() -> None:
    """Keep warnings and logs of libraries off the terminal, unless `STYLEHEAD_DEBUG=1` or `python -W` ask.

    They speak of what means nothing to whoever typed a command; what matters is said by jobs.
    """
    if os.environ.get("STYLEHEAD_DEBUG") == "1" or sys.warnoptions:
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    for name in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(name, "error")
