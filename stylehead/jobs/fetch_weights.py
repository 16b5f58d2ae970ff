"""Fetching weights: what the user accepted and is not here yet."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from stylehead.errors import MissingError
from stylehead.jobs.disk import check_disk
from stylehead.jobs.import_weights import Ask
from stylehead.jobs.report import Report, Result
from stylehead.units import format_bytes
from stylehead.weights import catalogue, fetch, store
from stylehead.weights.catalogue import Entry

_MEGABYTE = 1_000_000
_ROOM_HINT = "free some space, or set STYLEHEAD_HOME to a folder on another disk"


def fetch_weights(
    entries: Sequence[Entry], report: Report, ask: Ask, *, named: bool, dry_run: bool
) -> Result:
    """Fetch weights one after the other.

    Args:
        entries: What to fetch.
        report: Where notes, warnings and progress go.
        ask: Asks for a licence.
        named: The user named them, so it is an error when one can only be had by hand.
        dry_run: Only say what would be downloaded.

    Raises:
        LicenseError: A licence is not accepted.
        MissingError: Something can only be had by hand, or the network is forbidden.
        JobError: A download failed, or it does not fit on the disk.
    """
    by_hand = [entry for entry in entries if entry.by_hand and catalogue.local_path(entry.id) is None]
    if named and by_hand:
        raise MissingError(f"{by_hand[0].title} cannot be fetched by a program.", by_hand[0].by_hand)
    if not dry_run:
        for entry in entries:
            if entry not in by_hand:
                ask(entry)
    fetched = [entry for entry in entries if entry not in by_hand]
    facts = _dry(fetched, report) if dry_run else [_fetch(entry, report) for entry in fetched]
    facts += [{"id": entry.id, "path": None, "state": "by hand"} for entry in by_hand]
    for entry in by_hand:
        report.warn(f"{entry.title} cannot be fetched by a program: {entry.by_hand}")
    return Result(
        primary=tuple(fact["path"] for fact in facts if fact["path"] is not None),
        rows=tuple((fact["id"], fact["path"] or fact["state"]) for fact in facts),
        data={"weights": facts},
    )


def _dry(entries: Sequence[Entry], report: Report) -> list[dict[str, Any]]:
    """What a fetch would do; the Hub is asked, and the catalogue from where it does not answer.

    Raises:
        JobError: The Hub has nothing of the kind, or it does not fit on the disk.
    """
    plan: Callable[[Entry], fetch.Plan] = fetch.plan_download
    facts: list[dict[str, Any]] = []
    if fetch.is_offline():
        report.note("The network is forbidden: sizes are those of the catalogue.")
        plan = fetch.foreseen
    for entry in entries:
        path = catalogue.local_path(entry.id)
        if path is not None:
            facts.append({"id": entry.id, "path": path, "state": "here", "bytes": 0})
            continue
        try:
            planned = plan(entry)
        except fetch.UnreachableError as error:
            report.warn(f"{error.message} Sizes are those of the catalogue.")
            plan = fetch.foreseen
            planned = plan(entry)
        facts.append(_planned(entry, planned))
    _check_room((entry, fact["bytes"]) for entry, fact in zip(entries, facts, strict=True))
    return facts


def _planned(entry: Entry, planned: fetch.Plan) -> dict[str, Any]:
    size = "size not known" if planned.bytes is None else format_bytes(planned.bytes)
    state = f"to download: {size}, {_count(planned.files)}"
    return {"id": entry.id, "path": None, "state": state, "bytes": planned.bytes, "revision": planned.commit}


def _count(files: Sequence[str]) -> str:
    """How many files they are, as far as it is known: the catalogue has patterns."""
    if any("*" in name for name in files):
        return "several files"
    return f"{len(files)} file{'s' * (len(files) != 1)}"


def _check_room(wanted: Iterable[tuple[Entry, int | None]]) -> None:
    """Refuse what does not fit where it would lie.

    Raises:
        JobError: It does not.
    """
    by_place: dict[Path, int] = {}
    for entry, size in wanted:
        place = store.home() if entry.repo_id is None else catalogue.hub_folder()
        by_place[place] = by_place.get(place, 0) + (size or 0)
    for place, size in by_place.items():
        check_disk(place, size, "The download", _ROOM_HINT)


def _fetch(entry: Entry, report: Report) -> dict[str, Any]:
    record = store.read_record(entry.id)
    if record is None or not record.complete():
        found = catalogue.local_path(entry.id)
        if found is not None and (entry.repo_id is None or fetch.is_offline()):
            report.note(f"{entry.id}: another program left it in {found}; recording its hashes.")
            record = fetch.register_folder(entry, found)
        else:
            record = _download(entry, report)
    return {"id": entry.id, "path": record.path, "state": "here", "revision": record.revision}


def _download(entry: Entry, report: Report) -> store.Record:
    planned = fetch.plan_download(entry)
    if planned.cached:
        report.note(f"{entry.id}: all files are in the cache; checking them.")
        return fetch.fetch(entry, planned)
    _check_room([(entry, planned.bytes)])
    size = "size not known" if planned.bytes is None else format_bytes(planned.bytes)
    source = entry.repo_id or entry.url or _host(entry)
    report.note(f"{entry.id}: {size} from {source}. {entry.licence}. {entry.terms}".strip())
    total = math.ceil((planned.bytes or _MEGABYTE) / _MEGABYTE)
    with report.progress(total=total, label=entry.id, unit="MB") as shown:

        def progress(done: int, whole: int) -> None:
            del whole
            shown.update(min(total - 1, done // _MEGABYTE))

        record = fetch.fetch(entry, planned, progress=progress)
        shown.update(total)
        return record


def _host(entry: Entry) -> str:
    """The servers that single files come from."""
    return " and ".join(dict.fromkeys(address.split("/")[2] for address in entry.urls.values()))
