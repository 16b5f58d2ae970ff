"""`stylehead render`: heads from all sides, as films, frames, contact sheets and meshes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import command_line, reporting
from stylehead.cli.render_options import (
    FILES,
    BackgroundOption,
    DeviceOption,
    EasingOption,
    FormatsOption,
    FpsOption,
    LatentOption,
    MeshLevelOption,
    MeshOption,
    MeshResolutionOption,
    MorphOption,
    OutOption,
    OverwriteOption,
    PitchOption,
    PitchSwingOption,
    PresetOption,
    PsiOption,
    SecondsOption,
    SeedOption,
    SeedsOption,
    SideBySideOption,
    SizeOption,
    StrengthOption,
    StyleOption,
    TrianglesOption,
    YawStepsOption,
)
from stylehead.files import check_parents
from stylehead.jobs.arguments import RenderArguments
from stylehead.jobs.checks import check_render
from stylehead.jobs.report import Result
from stylehead.methods.config import StylizeConfig

if TYPE_CHECKING:
    from stylehead.jobs.render import Rendered, RenderFolder

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead render --seed 42 --yaw-steps 36[/cyan]

  [cyan]stylehead render --seed 42 --style joker --side-by-side[/cyan]

  [cyan]stylehead render --seeds 1-6 --style runs/pixar-character-3f9c --strength 0.5[/cyan]

  [cyan]stylehead render --latent me.npz --format mp4,gif --background "#202028"[/cyan]

  [cyan]stylehead render --seed 42 --size 512 --background transparent --format webp[/cyan]

  [cyan]stylehead render --seeds 1,4,7 --morph --seconds 6[/cyan]   through three heads and back

  [cyan]stylehead render --seed 42 --mesh head.glb[/cyan]
"""


def render(  # noqa: PLR0913
    *,
    seed: SeedOption = None,
    seeds: SeedsOption = None,
    latent: LatentOption = None,
    psi: PsiOption = StylizeConfig.psi,
    preset: PresetOption = "auto",
    device: DeviceOption = "auto",
    style: StyleOption = None,
    strength: StrengthOption = None,
    side_by_side: SideBySideOption = False,
    yaw_steps: YawStepsOption = 36,
    seconds: SecondsOption = None,
    easing: EasingOption = "linear",
    pitch: PitchOption = 0.0,
    pitch_swing: PitchSwingOption = 0.0,
    morph: MorphOption = False,
    size: SizeOption = None,
    background: BackgroundOption = "white",
    formats: FormatsOption = "mp4,frames,sheet",
    fps: FpsOption = 18,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    mesh: MeshOption = None,
    mesh_resolution: MeshResolutionOption = 192,
    mesh_level: MeshLevelOption = None,
    triangles: TrianglesOption = 40_000,
    workers: Annotated[
        int | None,
        typer.Option(help="Draw --seeds as a data set, by so many processes.", rich_help_panel=FILES),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Or by a Ray cluster.", hidden=True, rich_help_panel=FILES, metavar="HOST:PORT"),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render heads from all sides: films, frames, contact sheets, meshes."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        arguments = RenderArguments(
            seed=seed, seeds=seeds, latent=tuple(latent or ()), psi=psi, preset=preset, device=device,
            style=tuple(style or ()), strength=tuple(strength or ()), side_by_side=side_by_side,
            yaw_steps=yaw_steps, seconds=seconds, easing=easing, pitch=pitch, pitch_swing=pitch_swing,
            morph=morph, size=size, background=background, format=formats, fps=fps, out=out,
            overwrite=overwrite, mesh=mesh, mesh_resolution=mesh_resolution, mesh_level=mesh_level,
            triangles=triangles,
        )  # fmt: skip
        if workers is not None or address is not None:
            from stylehead.jobs.head_dataset import draw_heads

            command = command_line()
            output.result(draw_heads(arguments, output, command=command, workers=workers, address=address))
            return
        check_render(arguments)
        from stylehead.jobs import render as job

        if out is None:
            check_parents(job.RENDERS / "any")  # first: all views are drawn before anything is written
        rendered = job.render(arguments, output)
        output.result(_result(rendered, rendered.write()))


def _result(rendered: "Rendered", written: "RenderFolder") -> Result:
    from stylehead.jobs.after_render import next_commands

    folder, files, mesh = written
    meshes = () if mesh is None else (mesh,)
    rows = [("folder", folder), *((_label(path), path) for path in files), *(("mesh", m) for m in meshes)]
    data = {**rendered.recipe(), "folder": folder, "files": list(files), "mesh": mesh}
    return Result(primary=(folder, *meshes), rows=tuple(rows), data=data, next=next_commands(rendered))


def _label(path: Path) -> str:
    if path.name == "contact_sheet.jpg":
        return "contact sheet"
    return path.suffix[1:] or "frames"
