"""`stylehead render`: heads from all sides, as films, frames, contact sheets and meshes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import reporting
from stylehead.jobs.arguments import RenderArguments
from stylehead.jobs.checks import FORMATS, check_render
from stylehead.jobs.report import Result
from stylehead.methods.config import StylizeConfig
from stylehead.weights.presets import PresetName

if TYPE_CHECKING:
    from stylehead.jobs.render import RenderFolder

HEAD, STYLE, VIEW, FILES, MESH = "Which head", "Style", "Views", "Files", "Mesh"

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead render --seed 42 --yaw-steps 36[/cyan]

  [cyan]stylehead render --seed 42 --style joker.safetensors --side-by-side[/cyan]

  [cyan]stylehead render --seeds 1-6 --style joker.safetensors --strength 0.5[/cyan]

  [cyan]stylehead render --latent me.npz --format mp4,gif --background "#202028"[/cyan]

  [cyan]stylehead render --seed 42 --mesh head.glb[/cyan]
"""


def render(  # noqa: PLR0913
    *,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Which head to draw.", show_default="0", rich_help_panel=HEAD),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Several heads, such as 1,2,5-8.", rich_help_panel=HEAD, metavar="A,B-C,..."),
    ] = None,
    latent: Annotated[
        list[Path] | None,
        typer.Option(
            help="A head from a file (.npz, .npy, .pt), or a folder of heads; repeatable.",
            rich_help_panel=HEAD,
            metavar="PATH",
        ),
    ] = None,
    psi: Annotated[
        float,
        typer.Option(help="Truncation: 1 draws every head, 0 the average one.", rich_help_panel=HEAD),
    ] = StylizeConfig.psi,
    preset: Annotated[PresetName, typer.Option(help="Which weights to use.", rich_help_panel=HEAD)] = "auto",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.", rich_help_panel=HEAD)
    ] = "auto",
    style: Annotated[
        list[Path] | None,
        typer.Option(help="A style file; may be given several times.", rich_help_panel=STYLE, metavar="FILE"),
    ] = None,
    strength: Annotated[
        list[float] | None,
        typer.Option(
            help="How strongly styles act, 0 to 2: one for all, or one for each --style.",
            show_default="1",
            rich_help_panel=STYLE,
            metavar="NUMBER",
        ),
    ] = None,
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side", help="Source left, stylised right.", rich_help_panel=STYLE, metavar=""
        ),
    ] = False,
    yaw_steps: Annotated[int, typer.Option(help="Views once around the head.", rich_help_panel=VIEW)] = 36,
    pitch: Annotated[
        float,
        typer.Option(help="Nominal pitch in degrees; above 0 looks from below.", rich_help_panel=VIEW),
    ] = 0.0,
    background: Annotated[
        str, typer.Option(help="white, learned, a colour name or #rrggbb.", rich_help_panel=VIEW)
    ] = "white",
    formats: Annotated[
        str,
        typer.Option("--format", help=f"Any of {', '.join(FORMATS)}.", rich_help_panel=FILES),
    ] = "mp4,frames,sheet",
    fps: Annotated[
        int, typer.Option(min=1, max=120, help="Frames a second of films.", rich_help_panel=FILES)
    ] = 18,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files.", show_default="renders/HEAD-STYLE", rich_help_panel=FILES),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace earlier files.", rich_help_panel=FILES, metavar=""),
    ] = False,
    mesh: Annotated[
        Path | None,
        typer.Option(help="Also write a mesh: out.glb, out.obj, out.ply or out.stl.", rich_help_panel=MESH),
    ] = None,
    mesh_resolution: Annotated[
        int, typer.Option(help="Grid points along an edge of the box.", hidden=True, rich_help_panel=MESH)
    ] = 192,
    mesh_level: Annotated[
        float | None,
        typer.Option(
            help="Density on the surface; higher is thinner.",
            show_default="where renders see it",
            hidden=True,
            rich_help_panel=MESH,
        ),
    ] = None,
    triangles: Annotated[
        int, typer.Option(help="Most triangles of the mesh.", rich_help_panel=MESH)
    ] = 40_000,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render heads from all sides: films, frames, contact sheets, meshes."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        arguments = RenderArguments(
            seed=seed, seeds=seeds, latent=tuple(latent or ()), psi=psi, preset=preset, device=device,
            style=tuple(style or ()), strength=tuple(strength or ()), side_by_side=side_by_side,
            yaw_steps=yaw_steps, pitch=pitch, background=background, format=formats, fps=fps, out=out,
            overwrite=overwrite, mesh=mesh, mesh_resolution=mesh_resolution, mesh_level=mesh_level,
            triangles=triangles,
        )  # fmt: skip
        check_render(arguments)
        from stylehead.jobs import render as job

        rendered = job.render(arguments, output)
        output.result(_result(rendered.recipe(), rendered.write()))


def _result(recipe: dict[str, Any], written: "RenderFolder") -> Result:
    folder, files, mesh = written
    meshes = () if mesh is None else (mesh,)
    rows = [("folder", folder), *((_label(path), path) for path in files), *(("mesh", m) for m in meshes)]
    data = {**recipe, "folder": folder, "files": list(files), "mesh": mesh}
    return Result(primary=(folder, *meshes), rows=tuple(rows), data=data)


def _label(path: Path) -> str:
    if path.name == "contact_sheet.jpg":
        return "contact sheet"
    return path.suffix[1:] or "frames"
