"""What a job can be told, as plain values: one dataclass a job, with the defaults of command line and Python.

Nothing heavy is imported here: commands must print their help at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from stylehead.errors import UsageError
from stylehead.evaluation.angles import wrap_yaw
from stylehead.export.orbit import Easing
from stylehead.files import user_path
from stylehead.methods.config import ProfileName, StylizeConfig
from stylehead.methods.qualities import QualityName
from stylehead.settings import Count, Few, Natural, Seed, Share, Weight, above, at_most, between
from stylehead.weights.presets import PresetName

Device = str
"""`auto`, `cpu`, `cuda`, or one of several, `cuda:1`."""
YAWS = "-90,-30,0,30,90,180"


class Paths:
    """Arguments whose paths may begin with `~`, the user's folder, which not every shell fills in."""

    def __post_init__(self) -> None:
        for item in fields(cast("Any", self)):
            value = getattr(self, item.name)
            if isinstance(value, Path):
                object.__setattr__(self, item.name, user_path(value))
            elif isinstance(value, tuple) and any(isinstance(entry, Path) for entry in value):
                known = (user_path(entry) if isinstance(entry, Path) else entry for entry in value)
                object.__setattr__(self, item.name, tuple(known))


@dataclass(frozen=True, kw_only=True)
class StylizeArguments(Paths):
    """What `stylehead stylize` can be told."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `StylizeConfig` that were given; the profile and the defaults supply the others."""
    profile: ProfileName = "default"
    """Settings to start from."""
    quality: QualityName | None = None
    """Preset of numbers for a short or a long run; None is the usual one, good."""
    config: Path | None = None
    """File of settings to start from: the `config.json` of a run, or JSON of the user's."""
    device: Device = "auto"
    """Where to compute."""
    out: Path | None = None
    """Folder of the run; a new one under `runs` when not given."""
    resume: Path | None = None
    """The stopped run that goes on."""
    overwrite: bool = False
    """Replace the run in `out`."""
    keep_checkpoints: Natural = 0
    """Checkpoints that stay when the run is finished; until then the newest two do."""
    log_with: Literal["tensorboard", "wandb"] | None = None
    """Where else the numbers of every step go."""


@dataclass(frozen=True, kw_only=True)
class RenderArguments(Paths):
    """What `stylehead render` can be told."""

    seed: Seed | None = None
    """Which head to draw; 0 when neither seeds nor a latent file are given."""
    seeds: str | None = None
    """Several heads, such as "1,2,5-8"."""
    latent: tuple[Path, ...] = ()
    """Heads from latent files, or folders of them."""
    psi: Share = StylizeConfig.psi
    """Truncation: 1 draws every head, 0 the average one."""
    preset: PresetName = "auto"
    """Which weights to use."""
    device: Device = "auto"
    """Where to compute."""
    style: tuple[str | Path, ...] = ()
    """Styles that act together: names, files or folders of runs."""
    strength: tuple[float, ...] = ()
    """How strongly each acts, 0 to 2; 1 when none are given."""
    side_by_side: bool = False
    """Source left, stylised right."""
    yaw_steps: Annotated[int, between(1, 720)] = 36
    """Views once around the head."""
    seconds: Annotated[float, above(0), at_most(86_400)] | None = None
    """Length of the film: so many views as `fps` makes of it, in place of `yaw_steps`."""
    easing: Easing = "linear"
    """How the camera goes round: evenly, or smoothly from rest to rest."""
    pitch: Annotated[float, between(-60, 60)] = 0.0
    """Nominal pitch in degrees; above 0 looks from below."""
    pitch_swing: Annotated[float, between(0, 60)] = 0.0
    """Degrees by which the pitch rises and falls on the way round."""
    morph: bool = False
    """One film from head to head, or from style to style, and back."""
    size: Annotated[int, between(16, 2048)] | None = None
    """Edge of the pictures, pixels; the generator's own when not given."""
    background: str = "white"
    """white, transparent, learned, a colour name or #rrggbb."""
    format: str = "mp4,frames,sheet"
    """Kinds of files."""
    fps: Annotated[int, between(1, 120)] = 18
    """Frames a second of films."""
    out: Path | None = None
    """Folder for the files; a new one under `renders` when not given."""
    overwrite: bool = False
    """Replace earlier files."""
    mesh: Path | None = None
    """Also write the surface to this file."""
    mesh_resolution: Annotated[int, between(32, 512)] = 192
    """Grid points along an edge of the box."""
    mesh_level: Annotated[float, between(-1e6, 1e6)] | None = None
    """Density on the surface; where renders see it when not given."""
    triangles: Annotated[int, between(100, 2_000_000)] = 40_000
    """Most triangles of the mesh."""


@dataclass(frozen=True, kw_only=True)
class InvertArguments(Paths):
    """What `stylehead invert` can be told."""

    photo: Path | None = None
    """The picture."""
    face: Count | None = None
    """Which face: 1 is the largest."""
    aligned: bool = False
    """The picture is cropped to the head already."""
    camera: str | None = None
    """Camera of an aligned picture: "YAW,PITCH" in degrees, or a file; found when not given."""
    steps: Annotated[int, between(1, 10_000)] = 80
    """Steps of the head that is kept."""
    starts: Annotated[int, between(1, 64)] = 4
    """Starts that are tried."""
    identity_weight: Weight = 0.1
    """Weight of the face's identity."""
    latent_weight: Weight = 0.03
    """How strongly the head is held near the mean one."""
    seed: Seed = 0
    """Of the noise."""
    pti: bool = False
    """Then tune a copy of the generator."""
    pti_steps: Annotated[int, between(1, 10_000)] = 100
    """Steps of the tuning."""
    preset: PresetName = "auto"
    """Which weights to use."""
    device: Device = "auto"
    """Where to compute."""
    out: Path | None = None
    """Folder of the run; a new one under `runs` when not given."""
    resume: Path | None = None
    """The stopped run that goes on, or the finished one that is tuned."""
    overwrite: bool = False
    """Replace the run in `out`."""
    fail_under: str | None = None
    """Least similarity of the face, or `likeness`: what strangers do not reach."""


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments(Paths):
    """What `stylehead eval` can be told."""

    runs: tuple[Path, ...] = ()
    """Runs, or folders of runs; `runs` when not given."""
    images: tuple[Path, ...] = ()
    """Folders of pictures in place of runs."""
    methods: str | None = None
    """Methods to compare: all, or names joined by commas."""
    prompts: tuple[str, ...] = ()
    """Prompts to measure, or to train with methods; or paper, its five styles; or all, the embedded six."""
    ablation: bool = False
    """The paper's ladder, SDS to ours, at equal budget."""
    iterations: Count | None = None
    """Budget of every run that is trained; that of stylize when not given."""
    minutes: Annotated[float, above(0), at_most(10_000)] | None = None
    """The same as a time: every method has the steps that fit, at the pace of two idle cores."""
    identities: Annotated[int, between(2, 100_000)] = 40
    """People, seeds 0, 1, 2, ..."""
    yaws: str = YAWS
    """Sides, in degrees."""
    psi: Annotated[float, above(0), at_most(1)] | None = None
    """Truncation of the heads; 1 where true pictures are known, else 0.75, when not given."""
    batch: Few = 16
    """Pictures that encoders see at once."""
    preset: PresetName = "auto"
    """Which weights to use."""
    device: Device = "auto"
    """Where to compute."""
    reference: str = "auto"
    """What distributions are compared with: truth, teacher or a folder."""
    clip: str | None = None
    """CLIP model, a folder or hub id."""
    faces: str | None = None
    """InsightFace models, a folder."""
    depth_model: str | None = None
    """Monocular depth network, a folder or hub id."""
    inception: Path | None = None
    """Inception weights of torch-fidelity."""
    force_fid: bool = False
    """Frechet distances over too few pictures as well."""
    report: Path | None = None
    """Page with tables, pictures, best and worst cases."""
    csv: Path | None = None
    """One line for each number."""
    fail_under: tuple[str, ...] = ()
    """Limits below which a run fails, such as id=0.6."""
    fail_over: tuple[str, ...] = ()
    """Limits above which a run fails, such as dd_geo=0.1."""
    workers: Count | None = None
    """Processes that train, render and measure, of one thread each; this process alone when not given."""
    address: str | None = None
    """Of a Ray cluster that does."""

    @property
    def spreads(self) -> bool:
        """Return whether workers do the work."""
        return self.workers is not None or self.address is not None

    @property
    def trains(self) -> bool:
        """Return whether rows were asked for by their settings, which may have to be trained."""
        return bool(self.ablation or self.methods)

    @property
    def yaws_deg(self) -> tuple[float, ...]:
        """Return the sides, as `parse_yaws` reads them."""
        return parse_yaws(self.yaws)


Arguments = StylizeArguments | RenderArguments | InvertArguments | EvaluateArguments


def given(arguments: Arguments) -> list[str]:
    """Name the arguments that differ from their defaults, in order."""
    usual = type(arguments)()
    return [
        item.name for item in fields(arguments) if getattr(arguments, item.name) != getattr(usual, item.name)
    ]


def option(name: str) -> str:
    """Return the command-line spelling of an argument."""
    return "PHOTO" if name == "photo" else "--" + name.replace("_", "-")


def parse_yaws(text: str) -> tuple[float, ...]:
    """Read "-90,0,90".

    Raises:
        UsageError: It is no list of angles, or one comes twice.
    """
    try:
        yaws = tuple(float(part) for part in text.split(","))
        if not all(-360 <= yaw <= 360 for yaw in yaws):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"`--yaws` (={text}) must be a list of degrees from -360 to 360, like {YAWS}."
        ) from None
    turned = tuple(wrap_yaw(yaw) for yaw in yaws)
    if len(set(turned)) < len(turned):
        raise UsageError(f"`--yaws` (={text}) names a side twice.")
    return turned
