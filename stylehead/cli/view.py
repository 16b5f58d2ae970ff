"""`stylehead view`: heads, styles and trainings in the browser."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import rich
import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import reporting
from stylehead.cli.render_options import DeviceOption, LatentOption, PresetOption, StyleOption
from stylehead.jobs.report import Result

SERVER = "Where it listens"

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead view[/cyan]   then open the address that is printed

  [cyan]stylehead view --style joker.safetensors --latent me.npz[/cyan]

  [cyan]stylehead view runs/pixar-character-3f9c[/cyan]   follow a training: loss, previews, the newest head

Turn the head with the mouse or the arrow keys; R is a random head, P, T and M save picture, turntable and
mesh. It answers this machine alone unless --host says otherwise, and its own page alone. Ctrl-C ends it.
"""


def view(  # noqa: PLR0913
    *,
    run: Annotated[
        Path | None, typer.Argument(help="A run to follow or to look at.", metavar="RUN", show_default=False)
    ] = None,
    style: StyleOption = None,
    latent: LatentOption = None,
    preset: PresetOption = "auto",
    device: DeviceOption = "auto",
    host: Annotated[
        str,
        typer.Option(help="Address; there is no password.", rich_help_panel=SERVER),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", rich_help_panel=SERVER)] = 7860,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look at heads in the browser: turn them, mix styles, compare two, follow a training."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.viewer.guard import require_viser

        require_viser()
        rich.reconfigure(stderr=True)  # viser prints a banner, and stdout is for results
        from stylehead.viewer.gather import ViewArguments, gather
        from stylehead.viewer.serve import Viewer

        arguments = ViewArguments(
            run=run, style=tuple(style or ()), latent=tuple(latent or ()), host=host, port=port,
            preset=preset, device=device,
        )  # fmt: skip
        stage, follower = gather(arguments, output)
        viewer = Viewer(stage, host, port, follower)
        try:
            address = viewer.address
            output.result(Result(primary=(address,), rows=(("address", address),), data={"address": address}))
            output.note("Ctrl-C ends it.")
            viewer.run(_until_stopped())
        finally:
            viewer.close()


def _until_stopped() -> threading.Event:
    """An event that Ctrl-C and a polite kill set."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopped
