"""`stylehead weights`: which weights there are, fetching, importing and checking them."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stylehead.cli.help import Command, Group
from stylehead.cli.licences import ask_for_licence, can_ask
from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import reporting
from stylehead.errors import MissingError, StyleheadError, UsageError
from stylehead.files import user_path
from stylehead.jobs.report import Result
from stylehead.weights import catalogue, store
from stylehead.weights.catalogue import CATALOGUE, Entry
from stylehead.weights.presets import mini_preset

PRESET_NEEDS = (
    "realistic-vision-v5.1",
    "controlnet-canny",
    "controlnet-depth",
    "depth-anything-v2-small",
    "panohead",
)
"""What the panohead preset consists of."""

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead weights list[/cyan]    what there is, what is here, under which licence

  [cyan]stylehead weights import easy-khair-180-gpc0.8-trans10-025000.pkl[/cyan]

  [cyan]stylehead weights fetch[/cyan]   the rest of the panohead preset

PanoHead's weights are downloaded by hand and are for non-commercial use only (CC BY-NC-SA 4.0
and NVIDIA Source Code License); so is whatever is made with them.

Weights lie in STYLEHEAD_HOME, files of the Hugging Face Hub in its cache (HF_HOME).
HF_HUB_OFFLINE=1 forbids the network.
"""
LIST_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead weights list[/cyan]

  [cyan]stylehead weights list --json[/cyan]   with revisions, hashes and licences
"""
FETCH_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead weights fetch[/cyan]                    what the panohead preset needs

  [cyan]stylehead weights fetch --dry-run[/cyan]          how much that is

  [cyan]stylehead weights fetch insightface-buffalo_l --accept-license insightface[/cyan]
"""
VERIFY_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead weights verify[/cyan]            everything that is here

  [cyan]stylehead weights verify panohead[/cyan]
"""
IMPORT_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead weights import easy-khair-180-gpc0.8-trans10-025000.pkl[/cyan]

  [cyan]stylehead weights import joker.pth[/cyan]   a stylised generator, becomes joker.safetensors

  [cyan]stylehead weights import models/rv51 --id realistic-vision-v5.1[/cyan]

Nothing in a file is ever executed: what names anything but what snapshots need is refused.
"""
PATH_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead weights path[/cyan]              the folder of all

  [cyan]stylehead weights path panohead[/cyan]     the generator file of the panohead preset
"""


def complete_id(incomplete: str) -> list[str]:
    """Return the weights whose ids begin with what was typed, for the shell."""
    return [entry_id for entry_id in CATALOGUE if entry_id.startswith(incomplete)]


_id = functools.partial(typer.Argument, metavar="ID", autocompletion=complete_id)
AcceptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-license",
        help="Accept the licence of these weights; repeatable, insightface means all of theirs. "
        "STYLEHEAD_ACCEPT_LICENSES=a,b does the same.",
        metavar="ID",
        autocompletion=complete_id,
    ),
]


def list_weights(as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List all weights: what for, which licence, whether they are here."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        facts = [_facts(entry) for entry in CATALOGUE.values()]
        rows = [
            row for entry, fact in zip(CATALOGUE.values(), facts, strict=True) for row in _rows(entry, fact)
        ]
        here = tuple(fact["id"] for fact in facts if fact["path"] is not None)
        embedded = _embedded()
        rows = [*embedded["rows"], *rows]
        data = {"home": store.home(), "embedded": embedded["models"], "weights": facts}
        output.result(Result(primary=here, rows=tuple(rows), data=data))
        if not here:
            output.next("stylehead weights fetch")


def fetch(
    ids: Annotated[
        list[str] | None,
        _id(help="Weights; default: all that the panohead preset needs."),
    ] = None,
    accept: AcceptOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Stay off the network, as HF_HUB_OFFLINE=1 does.", metavar="")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.", metavar="")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Download weights, check them, and remember their hashes."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.jobs.fetch_weights import fetch_weights

        if offline:
            os.environ["HF_HUB_OFFLINE"] = "1"
        entries = [catalogue.find(name) for name in ids or PRESET_NEEDS]
        remember_licences(accept or [])
        ask = functools.partial(ask_for_licence, output=output)
        output.result(fetch_weights(entries, output, ask, named=bool(ids), dry_run=dry_run))


def import_weights(
    file: Annotated[
        Path,
        typer.Argument(
            help="A snapshot (.pkl), a state dict (.pth, .safetensors), or with --id a folder.",
            metavar="FILE",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write. Default: a generator is registered, a style comes to STEM.safetensors.",
            metavar="FILE",
        ),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            help="Generator that a style was trained from. Default: the registered one.", metavar="FILE"
        ),
    ] = None,
    entry_id: Annotated[
        str | None, typer.Option("--id", help="Register a folder as these weights of the list.", metavar="ID")
    ] = None,
    accept: AcceptOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there.", metavar="")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read a published file safely: a snapshot becomes a generator, a stylised generator a style."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.jobs import import_weights as job

        remember_licences(accept or [])
        request = job.ImportRequest(
            user_path(file),
            None if out is None else user_path(out),
            None if base is None else user_path(base),
            entry_id,
            overwrite,
        )
        ask = functools.partial(ask_for_licence, output=output)
        output.result(job.import_weights(request, output, ask, interactive=can_ask(output)))


def verify(
    ids: Annotated[
        list[str] | None,
        _id(help="Weights; default: all that are here, the embedded models included."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Hash files again and compare with what they were when they came; exit code 1 if one has changed."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.weights.verify import Checked, verify_embedded, verify_record

        checked: list[tuple[str, Checked]] = []
        for entry in [catalogue.find(name) for name in ids] if ids else CATALOGUE.values():
            record = store.read_record(entry.id)
            if record is not None:
                checked += [(entry.id, item) for item in verify_record(record)]
            elif ids:
                raise _not_registered(entry)
        if not ids:
            embedded = list(verify_embedded())
            checked += [("mini", item) for item in embedded]
            if any(item.state == "not known" for item in embedded):
                output.note("This is a source checkout: nothing says what the embedded models were.")
        bad = [item for _, item in checked if item.state in ("changed", "missing")]
        output.result(
            Result(
                primary=tuple(item.path for item in bad),
                rows=tuple((item.state, f"{name}  {item.path}") for name, item in checked),
                data={"files": [{"id": name, **item._asdict()} for name, item in checked]},
            )
        )
        if bad:
            output.warn(f"{len(bad)} of {len(checked)} files are not what they were.")
            output.next("delete them, then fetch or import these weights again")
            raise typer.Exit(1)


def path(
    entry_id: Annotated[str | None, _id(help="Weights; without it the folder of all is printed.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print where weights are: a file or a folder, to be used in scripts."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        found: Path | None = store.home() if entry_id is None else catalogue.local_path(entry_id)
        if found is None:
            assert entry_id is not None
            raise not_here(catalogue.find(entry_id))
        label = "home" if entry_id is None else entry_id
        output.result(Result(primary=(found,), rows=((label, found),), data={"id": entry_id, "path": found}))


def not_here(entry: Entry) -> MissingError:
    """The error of weights that are not on this machine."""
    return MissingError(f"{entry.title} is not on this machine.", f"stylehead weights fetch {entry.id}")


def remember_licences(accepted: Sequence[str]) -> None:
    """Record the licences that `--accept-license` names.

    Raises:
        UsageError: A name means no weights.
    """
    for name in accepted:
        meant = [entry_id for entry_id in CATALOGUE if catalogue.names(name, entry_id)]
        if not meant:
            catalogue.find(name)
        for entry_id in meant:
            if CATALOGUE[entry_id].acceptance_needed:
                store.record_licence(entry_id)


def _not_registered(entry: Entry) -> StyleheadError:
    if catalogue.local_path(entry.id) is None:
        return not_here(entry)
    message = f"{entry.title} is here, but stylehead did not fetch it, so there is nothing to compare with."
    return UsageError(message, f"stylehead weights fetch {entry.id} (records its hashes)")


def _embedded() -> dict[str, Any]:
    """The models of the package itself: rows for people, and a list for programs."""
    from stylehead.units import format_bytes

    preset = mini_preset()
    root = preset.generator.parent
    files = sorted(root.rglob("*.safetensors"))
    names = sorted({path.relative_to(root).parts[0].removesuffix(".safetensors") for path in files})
    size = sum(path.stat().st_size for path in files)
    rows = [
        ("mini", f"{'here':<8}  {format_bytes(size)}, the embedded preset: {', '.join(names)}"),
        ("", f"{'':<8}  {preset.licence}"),
    ]
    models = [{"path": path, "bytes": path.stat().st_size, "licence": preset.licence} for path in files]
    return {"rows": rows, "models": models}


def _facts(entry: Entry) -> dict[str, Any]:
    """Everything about an entry, for programs."""
    record = store.read_record(entry.id)
    known = dict(entry.sha256)
    if record is not None:
        known |= {name: facts.sha256 for name, facts in record.files.items()}
    return {
        "id": entry.id,
        "title": entry.title,
        "purpose": entry.purpose,
        "path": catalogue.local_path(entry.id),
        "repo_id": entry.repo_id,
        "pinned_revision": entry.revision,
        "fetched_revision": record.revision if record else None,
        "bytes": sum(facts.bytes for facts in record.files.values()) if record else entry.bytes,
        "sha256": known or None,
        "licence": entry.licence,
        "licence_url": entry.licence_url,
        "commercial": entry.commercial,
        "acceptance_needed": entry.acceptance_needed,
        "accepted": catalogue.acceptance(entry.id),
    }


def _rows(entry: Entry, fact: dict[str, Any]) -> list[tuple[str, str]]:
    """Three lines for people: state and purpose, licence, and what its files are held to."""
    from stylehead.units import format_bytes

    size = "size not known" if fact["bytes"] is None else format_bytes(fact["bytes"])
    if fact["sha256"] is None and fact["bytes"] is not None:
        size = f"about {size}"
    state = "here" if fact["path"] else "not here"
    use = "commercial use allowed" if entry.commercial else "no commercial use"
    if entry.acceptance_needed:
        use += f"; {'accepted' if catalogue.accepted(entry.id) else 'not accepted yet'}"
    revision = entry.revision or fact["fetched_revision"]
    pinned = f"revision {revision[:12]}" if revision else "revision not pinned"
    if entry.repo_id is None:
        pinned = "no revisions"
    hashes = "sha256 recorded" if fact["sha256"] else "sha256 not known: recorded when it comes"
    return [
        (entry.id, f"{state:<8}  {size}, {entry.purpose}"),
        ("", f"{'':<8}  {entry.licence}; {use}"),
        ("", f"{'':<8}  {pinned}, {hashes}"),
    ]


def _weights(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def weight_commands(settings: dict[str, Any]) -> typer.Typer:
    """Assemble the sub-commands.

    Args:
        settings: Context settings of all commands.
    """
    group = typer.Typer(
        help="List, fetch, import and check weights.",
        epilog=EPILOG,
        context_settings=settings,
        rich_markup_mode=None,
        cls=Group,
    )
    group.callback(invoke_without_command=True)(_weights)
    group.command("list", cls=Command, epilog=LIST_EPILOG, context_settings=settings)(list_weights)
    group.command("fetch", cls=Command, epilog=FETCH_EPILOG, context_settings=settings)(fetch)
    group.command("import", cls=Command, epilog=IMPORT_EPILOG, context_settings=settings)(import_weights)
    group.command("verify", cls=Command, epilog=VERIFY_EPILOG, context_settings=settings)(verify)
    group.command("path", cls=Command, epilog=PATH_EPILOG, context_settings=settings)(path)
    return group
