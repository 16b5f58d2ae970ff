"""`stylehead render`: heads from all sides, as films, frames, contact sheets and meshes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import reporting
from stylehead.errors import UsageError
from stylehead.jobs.requests import MeshRequest, Views
from stylehead.methods.config import StylizeConfig
from stylehead.weights.presets import PresetName, resolve_preset

if TYPE_CHECKING:
    from stylehead.generator import PanoHead
    from stylehead.jobs.heads import Head

HEAD, STYLE, VIEW, FILES, MESH = "Which head", "Style", "Views", "Files", "Mesh"
FORMATS = ("mp4", "frames", "sheet", "webp", "gif")
MAX_YAW_STEPS = 720
MAX_PITCH_DEG = 60.0
MESH_RESOLUTION = (32, 512)

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead render --seed 42 --yaw-steps 36[/cyan]

  [cyan]stylehead render --seed 42 --style joker.safetensors --side-by-side[/cyan]

  [cyan]stylehead render --seeds 1-6 --style joker.safetensors --strength 0.5[/cyan]

  [cyan]stylehead render --latent me.npz --format mp4,gif --background "#202028"[/cyan]

  [cyan]stylehead render --seed 42 --mesh head.glb[/cyan]
"""


def render(  # noqa: PLR0913
    context: typer.Context,
    *,
    seed: Annotated[int, typer.Option(min=0, help="Which head to draw.", rich_help_panel=HEAD)] = 0,
    seeds: Annotated[
        str | None, typer.Option(help="Several heads, such as 1,2,5-8.", rich_help_panel=HEAD)
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
            help="How strongly the style acts, 0 to 2; one for each --style.",
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
        typer.Option(help="Also write the surface: out.glb, out.ply or out.obj.", rich_help_panel=MESH),
    ] = None,
    mesh_resolution: Annotated[
        int, typer.Option(help="Grid points along an edge of the box.", rich_help_panel=MESH)
    ] = 192,
    mesh_level: Annotated[
        float | None,
        typer.Option(
            help="Density on the surface; higher is thinner.",
            show_default="where renders see it",
            rich_help_panel=MESH,
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render heads from all sides: films, frames, contact sheets, meshes."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        views = check_views(Views(yaw_steps, pitch, background, side_by_side, fps))
        wanted = parse_formats(formats)
        request = None if mesh is None else MeshRequest(mesh, mesh_resolution, mesh_level)
        if not 0 <= psi <= 1:
            raise UsageError(f"`--psi` (={psi:g}) must be between 0 and 1.")
        if side_by_side and not style:
            raise UsageError("`--side-by-side` needs a `--style` to compare with.")
        chosen = _chosen_seeds(context, seed, seeds, latent)
        files = _latent_files(latent or [])
        if request is not None:
            check_mesh(request, heads=len(chosen) or len(files), overwrite=overwrite)
        from stylehead.jobs.heads import check_styles, load_styles
        from stylehead.jobs.render import Rendering, check_folder

        check_styles(style or [], strength or [])
        if out is not None:
            check_folder(out, overwrite=overwrite)
        weights, why = resolve_preset(preset)
        output.note(why)
        weights.require_generator()
        generator = _load(weights.generator, device)
        styles = load_styles(generator, style or [], strength or [])
        heads = _heads(generator, chosen, files, psi)
        if request is not None:
            check_mesh(request, heads=len(heads), overwrite=overwrite)
        made_with = {"preset": weights.name, "psi": psi, "licence": weights.licence}
        rendering = Rendering(generator, heads, styles, views, made_with)
        result = rendering.execute(wanted, out, request, output, overwrite=overwrite)
        output.result(result)


def check_views(views: Views) -> Views:
    """Check what typer cannot; returns its argument.

    Raises:
        UsageError: A number is out of range; the message names the option.
    """
    if not 1 <= views.yaw_steps <= MAX_YAW_STEPS:
        raise UsageError(f"`--yaw-steps` (={views.yaw_steps}) must be between 1 and {MAX_YAW_STEPS}.")
    if not -MAX_PITCH_DEG <= views.pitch_deg <= MAX_PITCH_DEG:
        raise UsageError(
            f"`--pitch` (={views.pitch_deg:g}) must be between -{MAX_PITCH_DEG:g} and {MAX_PITCH_DEG:g}."
        )
    if views.background not in ("white", "learned"):
        from stylehead.export.views import parse_colour

        parse_colour(views.background)
    return views


def parse_formats(text: str) -> list[str]:
    """Read "mp4,sheet".

    Raises:
        UsageError: A format is unknown, or there is none.
    """
    wanted = [part.strip().lower() for part in text.split(",") if part.strip()]
    for name in wanted:
        if name not in FORMATS:
            raise UsageError(f"`--format` (={name}) must be any of {', '.join(FORMATS)}, joined by commas.")
    if not wanted:
        raise UsageError(f"`--format` must name at least one of {', '.join(FORMATS)}.")
    return list(dict.fromkeys(wanted))


def check_mesh(request: MeshRequest, *, heads: int, overwrite: bool) -> None:
    """Check that a mesh can be made, before any work.

    Raises:
        UsageError: Its path or numbers make no sense.
        MissingError: A package is missing.
    """
    from stylehead.export.mesh import require_mesh_tools
    from stylehead.export.mesh_files import check_mesh_path
    from stylehead.files import check_parents

    check_mesh_path(request.path)
    check_parents(request.path)
    low, high = MESH_RESOLUTION
    if not low <= request.resolution <= high:
        raise UsageError(f"`--mesh-resolution` (={request.resolution}) must be between {low} and {high}.")
    if heads != 1:
        raise UsageError("`--mesh` makes one head at a time.", "use --seed")
    if request.path.is_dir():
        raise UsageError(f"`--mesh` (={request.path}) is a folder, not a file.")
    if request.path.exists() and not overwrite:
        raise UsageError(f"{request.path} exists already.", "add --overwrite, or choose another name")
    require_mesh_tools()


def _chosen_seeds(
    context: typer.Context, seed: int, seeds: str | None, latent: list[Path] | None
) -> list[int]:
    """The seeds to draw; none when the head comes from a file."""
    from stylehead.jobs.heads import MAX_SEED, parse_seeds

    source = context.get_parameter_source("seed")
    given = {
        "--seed": source is not None and source.name != "DEFAULT",
        "--seeds": seeds is not None,
        "--latent": bool(latent),
    }
    named = [name for name, used in given.items() if used]
    if len(named) > 1:
        raise UsageError(f"`{named[0]}` and `{named[1]}` exclude each other.")
    if latent:
        return []
    if seed > MAX_SEED:
        raise UsageError(f"`--seed` (={seed}) must be between 0 and {MAX_SEED}.")
    return [seed] if seeds is None else parse_seeds(seeds)


def _load(path: Path, device: str) -> "PanoHead":
    from stylehead.generator import PanoHead
    from stylehead.jobs.environment import choose_device

    return PanoHead.load(path, choose_device(device))


def _latent_files(paths: list[Path]) -> list[Path]:
    """The latent files that paths mean, found before anything is loaded."""
    if not paths:
        return []
    from stylehead.inversion.latent_files import find_latents

    return [file for path in paths for file in find_latents(path)]


def _heads(generator: "PanoHead", seeds: list[int], files: list[Path], psi: float) -> "list[Head]":
    from stylehead.jobs.heads import latent_heads, seed_heads

    return latent_heads(generator, files) if files else seed_heads(generator, seeds, psi=psi)
