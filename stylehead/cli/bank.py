"""`stylehead bank`: people from a few sides, to be edited by a model or by anybody, and learned from."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stylehead.cli.help import Command, Group
from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import reporting
from stylehead.files import user_path
from stylehead.weights.presets import PresetName

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead bank new --people 60 --views 4 --out bank[/cyan]

  [cyan]stylehead bank fill bank --prompt "the joker"[/cyan]

  [cyan]stylehead bank check bank[/cyan]

  [cyan]stylehead stylize --bank bank --prompt "the joker"[/cyan]

Or edit the pictures in bank/renders with any program, and put them into bank/edited under the same names
(PNG, JPEG or WebP of any size; with alpha or on a plain background).
"""
NEW_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead bank new --out bank[/cyan]

  [cyan]stylehead bank new --people 20 --latent runs/me/latent.npz --out bank[/cyan]
"""
FILL_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead bank fill bank --prompt "the joker"[/cyan]

  [cyan]stylehead bank fill bank --prompt "the joker" --editor models/FLUX.2-klein-4B[/cyan]

  [cyan]stylehead bank fill bank --prompt "my style" --editor my-pictures/[/cyan]

A stopped filling goes on where it was; what is there is not edited again.
"""
CHECK_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead bank check bank[/cyan]
"""
DeviceOption = Annotated[str, typer.Option(help="Where to compute: auto, cpu or cuda.", metavar="DEVICE")]
PresetOption = Annotated[PresetName, typer.Option(help="Whose generator or editor.")]


def new(  # noqa: PLR0913
    out: Annotated[Path, typer.Option(help="Folder of the bank, new or empty.")] = Path("bank"),
    people: Annotated[int, typer.Option(min=0, max=9999, help="People to draw.")] = 40,
    views: Annotated[int, typer.Option(min=1, max=32, help="Sides of each, half of them facing.")] = 4,
    latent: Annotated[
        list[Path] | None, typer.Option(help="Head of a latent file that is to be in it; repeatable.")
    ] = None,
    psi: Annotated[float, typer.Option(min=0, max=1, help="Truncation of the people that are drawn.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Other people and cameras.")] = 0,
    preset: PresetOption = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render people from a few sides, for an editor."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.jobs import bank

        wanted = bank.NewBank(people, views, tuple(map(user_path, latent or ())), seed, psi)
        output.result(bank.new_bank(user_path(out), wanted, output, preset=preset, device=device))


def fill(  # noqa: PLR0913
    bank: Annotated[Path, typer.Argument(help="The bank.", metavar="BANK", show_default=False)],
    prompt: Annotated[str, typer.Option(help="What the edits show; with own pictures any name.")],
    editor: Annotated[
        Path | None,
        typer.Option(help="Editor in diffusers layout, or a folder of edited pictures; else the preset's."),
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(help="What the editor is told; else made of the prompt.")
    ] = None,
    negative_prompt: Annotated[str, typer.Option(help="What the editor is to avoid.")] = "",
    text_scale: Annotated[float | None, typer.Option(help="How strongly it follows the words.")] = None,
    picture_scale: Annotated[float | None, typer.Option(help="How strongly it keeps the picture.")] = None,
    edit_steps: Annotated[int | None, typer.Option(help="Denoising steps of InstructPix2Pix.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    preset: PresetOption = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Have renders edited by a model, or take over edited pictures."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.jobs import bank as job

        given: dict[str, Any] = {
            "editor": None if editor is None else str(user_path(editor)), "instruction": instruction,
            "negative_prompt": negative_prompt, "text_scale": text_scale, "picture_scale": picture_scale,
            "edit_steps": edit_steps, "seed": seed,
        }  # fmt: skip
        settings = job.settings_of(prompt, **given)
        output.result(job.fill(user_path(bank), output, settings=settings, preset=preset, device=device))


def check(
    bank: Annotated[Path, typer.Argument(help="The bank.", metavar="BANK", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The sheet.", show_default="BANK/check.png")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw a sheet of what is kept and what is dropped, and say why."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.jobs import bank as job

        output.result(job.check(user_path(bank), output, out=None if out is None else user_path(out)))


def bank_commands(context: dict[str, Any]) -> typer.Typer:
    """Assemble the sub-commands.

    Args:
        context: Context settings of all commands.
    """
    app = typer.Typer(
        cls=Group,
        help="Banks of pictures that the method edit learns from: make, fill, check.",
        epilog=EPILOG,
        no_args_is_help=True,
        context_settings=context,
        rich_markup_mode=None,
    )
    for name, command, epilog in (
        ("new", new, NEW_EPILOG), ("fill", fill, FILL_EPILOG), ("check", check, CHECK_EPILOG),
    ):  # fmt: skip
        app.command(name, cls=Command, epilog=epilog, context_settings=context)(command)
    return app
