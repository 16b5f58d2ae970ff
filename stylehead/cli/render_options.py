"""The options of `stylehead render`, which `stylehead sheet` shares in part."""

from pathlib import Path
from typing import Annotated

import typer

from stylehead.cli.options import WHERE
from stylehead.export.orbit import Easing
from stylehead.jobs.checks import FORMATS
from stylehead.weights.presets import PresetName

HEAD, STYLE, VIEW, FILES, MESH = "Which head", "Style", "Views", "Files", "Mesh"

SeedOption = Annotated[
    int | None,
    typer.Option(min=0, help="Which head to draw.", show_default="0", rich_help_panel=HEAD),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(help="Several heads, such as 1,2,5-8.", rich_help_panel=HEAD, metavar="A,B-C,..."),
]
LatentOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="A head from a file (.npz, .npy, .pt), or a folder of heads; repeatable.",
        rich_help_panel=HEAD,
        metavar="PATH",
    ),
]
PsiOption = Annotated[
    float,
    typer.Option(help="Truncation: 1 draws every head, 0 the average one.", rich_help_panel=HEAD),
]
PresetOption = Annotated[PresetName, typer.Option(help="Which weights to use.", rich_help_panel=HEAD)]
DeviceOption = Annotated[str, typer.Option(help=WHERE, metavar="DEVICE", rich_help_panel=HEAD)]
StyleOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A style by its name, file or run; repeatable.", rich_help_panel=STYLE, metavar="STYLE"
    ),
]
StrengthOption = Annotated[
    list[float] | None,
    typer.Option(
        help="How strongly styles act, 0 to 2: one for all, or one for each --style.",
        show_default="1",
        rich_help_panel=STYLE,
        metavar="NUMBER",
    ),
]
SideBySideOption = Annotated[
    bool,
    typer.Option("--side-by-side", help="Source left, stylised right.", rich_help_panel=STYLE, metavar=""),
]
YawStepsOption = Annotated[int, typer.Option(help="Views once around the head.", rich_help_panel=VIEW)]
PitchOption = Annotated[
    float,
    typer.Option(help="Nominal pitch in degrees; above 0 looks from below.", rich_help_panel=VIEW),
]
BackgroundOption = Annotated[
    str, typer.Option(help="white, transparent, learned, a colour name or #rrggbb.", rich_help_panel=VIEW)
]
FormatsOption = Annotated[
    str,
    typer.Option("--format", help=f"Any of {', '.join(FORMATS)}.", rich_help_panel=FILES),
]
FpsOption = Annotated[
    int, typer.Option(min=1, max=120, help="Frames a second of films.", rich_help_panel=FILES)
]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Folder for the files.", show_default="renders/HEAD-STYLE", rich_help_panel=FILES),
]
OverwriteOption = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace earlier files.", rich_help_panel=FILES, metavar=""),
]
MeshOption = Annotated[
    Path | None,
    typer.Option(help="Also write a mesh: out.glb, .obj, .ply or .stl; y is up.", rich_help_panel=MESH),
]
MeshResolutionOption = Annotated[
    int, typer.Option(help="Grid points along an edge of the box.", hidden=True, rich_help_panel=MESH)
]
MeshLevelOption = Annotated[
    float | None,
    typer.Option(
        help="Density on the surface; higher is thinner.",
        show_default="where renders see it",
        hidden=True,
        rich_help_panel=MESH,
    ),
]
TrianglesOption = Annotated[int, typer.Option(help="Most triangles of the mesh.", rich_help_panel=MESH)]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        help="Length of the film, in place of --yaw-steps.",
        show_default="2 at --fps 18",
        rich_help_panel=VIEW,
    ),
]
EasingOption = Annotated[
    Easing,
    typer.Option(help="How the camera goes round: evenly, or from rest to rest.", rich_help_panel=VIEW),
]
PitchSwingOption = Annotated[
    float,
    typer.Option(help="Degrees by which the pitch rises and falls on the way round.", rich_help_panel=VIEW),
]
MorphOption = Annotated[
    bool,
    typer.Option(
        "--morph",
        help="One film through all heads, or all styles, and back.",
        rich_help_panel=VIEW,
        metavar="",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        help="Edge of pictures, pixels: outlines and folds get finer, eyes and skin only larger.",
        show_default="the generator's own",
        rich_help_panel=VIEW,
    ),
]
