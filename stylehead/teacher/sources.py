"""From what a user names (a folder, a catalogue entry or a hub id) to a local folder. Never the network."""

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from stylehead.errors import LicenseError, MissingError, UsageError
from stylehead.weights import catalogue
from stylehead.weights.model_files import MODEL_SUFFIXES

_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?")


def local_folder(source: str, flag: str) -> Path:
    """Find the folder of a model.

    Args:
        source: A local folder in diffusers or transformers layout; the id of a catalogue entry; or a hub id
            `owner/name`, optionally `@revision`, whose files are in the Hugging Face cache already.
        flag: The option that named it, for messages.

    Raises:
        UsageError: It is a single file, not a folder.
        LicenseError: It is in the catalogue, and its licence is not accepted.
        MissingError: There is no such folder, and no such model on this machine.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        hint = "convert it to a folder in diffusers layout first"
        raise UsageError(f"`{flag}` (={source}) is a single file, not a model folder.", hint)
    entry = catalogue_entry(source)
    if entry is not None:
        return _listed(entry, source, flag)
    match = _HUB_ID.fullmatch(source)
    if match is None:
        raise MissingError(f"`{flag}` (={source}) is no folder, and no hub id like owner/name.")
    return _cached(match["id"], match["revision"], flag)


def local_model(source: str, flag: str) -> Path:
    """Find a model that may be a single file: see `local_folder`, whose arguments and errors these are."""
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() in MODEL_SUFFIXES:
        return path
    return local_folder(source, flag)


def local_tokenizer() -> Path | None:
    """Find a tokenizer for single files, which have none: of the teacher that is here, or on its own."""
    for entry_id, inside in (("clip-tokenizer", ""), ("realistic-vision-v5.1", "tokenizer")):
        folder = catalogue.local_path(entry_id)
        if folder is not None and (folder / inside / "vocab.json").is_file():
            return folder / inside
    return None


def catalogue_entry(source: str) -> catalogue.Entry | None:
    """Return the catalogue entry of an id, or of the repository that one is fetched from; None if none is."""
    entries = catalogue.CATALOGUE.values()
    return next((entry for entry in entries if source in (entry.id, entry.repo_id)), None)


def _listed(entry: catalogue.Entry, source: str, flag: str) -> Path:
    accept = f" --accept-license {entry.id}" if entry.acceptance_needed else ""
    fetch = f"stylehead weights fetch {entry.id}{accept}"
    if not catalogue.accepted(entry.id):
        raise LicenseError(f"`{flag}` (={source}): its licence is not accepted ({entry.licence}).", fetch)
    path = catalogue.local_path(entry.id)
    if path is None:
        raise MissingError(f"`{flag}` (={source}) is not on this machine.", fetch)
    return path


def _cached(repo_id: str, revision: str | None, flag: str) -> Path:
    for cache in dict.fromkeys((catalogue.hub_cache(), None)):  # ours, and the one of other programs
        try:
            found = huggingface_hub.snapshot_download(
                repo_id, revision=revision, cache_dir=cache, local_files_only=True
            )
        except (LocalEntryNotFoundError, HFValidationError):
            continue
        return Path(found)
    fetch = f"hf download {repo_id}" + (f" --revision {revision}" if revision else "")
    message = f"`{flag}` (={repo_id}) is no folder, and not in the Hugging Face cache."
    raise MissingError(message, fetch)
