"""Assembly of the command line."""

from typing import Annotated

import typer

from stylehead import __version__
from stylehead.cli import bank as bank_command
from stylehead.cli import doctor as doctor_command
from stylehead.cli import eval as eval_command
from stylehead.cli import info as info_command
from stylehead.cli import invert as invert_command
from stylehead.cli import named_styles as styles_command
from stylehead.cli import people_sheet as sheet_command
from stylehead.cli import render as render_command
from stylehead.cli import stylize as stylize_command
from stylehead.cli import sweep as sweep_command
from stylehead.cli import view as view_command
from stylehead.cli import weights as weights_command
from stylehead.cli.help import Command, Group
from stylehead.cli.options import StylizeCommand
from stylehead.cli.terminal import prepare_streams, quiet_warnings
from stylehead.processes import keep_freed_memory, leave_no_folder, share_processors

CONTEXT = {"help_option_names": ["-h", "--help"]}

EPILOG = """
[bold]Start here[/bold]

  [cyan]stylehead stylize --prompt "Pixar character"[/cyan]   train a style, on any laptop

  [cyan]stylehead render --seed 42 --yaw-steps 36[/cyan]      see a head from all sides

  [cyan]stylehead invert photo.jpg[/cyan]                     turn a photograph into a head

  [cyan]stylehead eval[/cyan]                                 how good is what I trained?

  [cyan]stylehead sweep --prompts prompts.txt[/cyan]          many styles, side by side

  [cyan]stylehead info runs/pixar-character-3f9c[/cyan]       what is this file or run?

  [cyan]stylehead doctor[/cyan]                               does everything work here?

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is missing, 4 licence not accepted, 5 out of memory,
130 stopped by Ctrl-C. STYLEHEAD_DEBUG=1 shows where it failed.
"""

app = typer.Typer(
    name="stylehead",
    cls=Group,
    help="Restyle 3D heads from a text prompt, keeping every person who they are.",
    epilog=EPILOG,
    context_settings=CONTEXT,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", metavar="")] = False,
) -> None:
    if version:
        typer.echo(f"stylehead {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


StylizeCommand.function = stylize_command.stylize
app.command(cls=StylizeCommand, epilog=stylize_command.EPILOG, context_settings=CONTEXT)(
    stylize_command.stylize
)
app.command(cls=Command, epilog=render_command.EPILOG, context_settings=CONTEXT)(render_command.render)
app.command(cls=Command, epilog=sheet_command.EPILOG, context_settings=CONTEXT)(sheet_command.sheet)
app.command("eval", cls=Command, epilog=eval_command.EPILOG, context_settings=CONTEXT)(eval_command.evaluate)
app.command(cls=Command, epilog=invert_command.EPILOG, context_settings=CONTEXT)(invert_command.invert)
app.command(cls=Command, epilog=sweep_command.EPILOG, context_settings=CONTEXT)(sweep_command.sweep)
app.command(cls=Command, epilog=view_command.EPILOG, context_settings=CONTEXT)(view_command.view)
app.command(cls=Command, epilog=info_command.EPILOG, context_settings=CONTEXT)(info_command.info)
app.command(cls=Command, epilog=doctor_command.EPILOG, context_settings=CONTEXT)(doctor_command.doctor)
app.add_typer(styles_command.style_commands(CONTEXT), name="styles")
app.add_typer(bank_command.bank_commands(CONTEXT), name="bank")
app.add_typer(weights_command.weight_commands(CONTEXT), name="weights")


def main() -> None:
    """Run the command line; the entry point of the `stylehead` script."""
    keep_freed_memory()
    share_processors()
    leave_no_folder()
    prepare_streams()
    quiet_warnings()
    app(prog_name="stylehead")
