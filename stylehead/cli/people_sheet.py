"""`stylehead sheet`: people and styles on one picture."""

from pathlib import Path
from typing import Annotated

import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import reporting
from stylehead.cli.render_options import (
    FILES,
    HEAD,
    VIEW,
    DeviceOption,
    LatentOption,
    OverwriteOption,
    PresetOption,
    PsiOption,
    SeedsOption,
    SizeOption,
    StrengthOption,
    StyleOption,
)
from stylehead.jobs.report import Result
from stylehead.methods.config import StylizeConfig

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead sheet[/cyan]   six people

  [cyan]stylehead sheet --people 8 --style joker.safetensors --style pixar.safetensors[/cyan]

  [cyan]stylehead sheet --latent me.npz --style joker.safetensors --views 0,45,180[/cyan]
"""


def sheet(  # noqa: PLR0913
    *,
    people: Annotated[
        int, typer.Option(min=1, max=500, help="How many, seeds 1, 2, 3, ...", rich_help_panel=HEAD)
    ] = 6,
    seeds: SeedsOption = None,
    latent: LatentOption = None,
    psi: PsiOption = StylizeConfig.psi,
    preset: PresetOption = "auto",
    device: DeviceOption = "auto",
    style: StyleOption = None,
    strength: StrengthOption = None,
    views: Annotated[
        str, typer.Option(help="Sides in degrees, a tile each.", rich_help_panel=VIEW, metavar="A,B,...")
    ] = "0",
    size: SizeOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .png, .jpg, .webp.", show_default="renders/sheet.png", rich_help_panel=FILES
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw people and styles on one sheet: a row a person, a column a style."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        from stylehead.jobs import people_sheet as job

        arguments = job.SheetArguments(
            people=people, seeds=seeds, latent=tuple(latent or ()), psi=psi, preset=preset, device=device,
            style=tuple(style or ()), strength=tuple(strength or ()), views=views, size=size, out=out,
            overwrite=overwrite,
        )  # fmt: skip
        path = job.sheet(arguments, output)
        output.result(Result(primary=(path,), rows=(("sheet", path),), data={"sheet": path}))
