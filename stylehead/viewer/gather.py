"""What the viewer is to show: generator, styles, heads and a run, loaded before a port is opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from stylehead.generator import PanoHead, Style
from stylehead.jobs import environment
from stylehead.jobs.arguments import Device, Paths
from stylehead.jobs.checks import check_styles
from stylehead.jobs.named_heads import latent_heads, load_styles
from stylehead.jobs.report import Report
from stylehead.runs import RunDirectory
from stylehead.settings import between, check_ranges
from stylehead.viewer.follow import Follower
from stylehead.viewer.guard import is_loopback
from stylehead.viewer.shared_generator import SharedGenerator
from stylehead.weights.presets import PresetName, resolve_preset

HOST, PORT = "127.0.0.1", 7860
LATENT = "latent.npz"


@dataclass(frozen=True, kw_only=True)
class ViewArguments(Paths):
    """What `stylehead view` can be told."""

    run: Path | None = None
    """A run of `stylize` to follow, or of `invert` to look at."""
    style: tuple[str | Path, ...] = ()
    """Styles to mix."""
    latent: tuple[Path, ...] = ()
    """Heads from files, or folders of them."""
    host: str = HOST
    """Address to listen on."""
    port: Annotated[int, between(0, 65535)] = PORT
    """Its port; 0 takes a free one."""
    preset: PresetName = "auto"
    """Which weights to use."""
    device: Device = "auto"
    """Where to compute."""


class Gathered(NamedTuple):
    """What is shown, and the training that is followed."""

    stage: SharedGenerator
    follower: Follower | None


def gather(arguments: ViewArguments, report: Report) -> Gathered:
    """Load what was asked for.

    Args:
        arguments: What was asked for.
        report: For notes and warnings.

    Raises:
        UsageError: The arguments do not go together.
        StyleheadError: Weights, styles, heads or the run cannot be used.
    """
    check_ranges(arguments)
    check_styles(arguments.style, ())
    if not is_loopback(arguments.host):
        report.warn(f"Anybody who can reach {arguments.host} can use the viewer: it has no password.")
    run = None if arguments.run is None else RunDirectory.open(arguments.run)
    inverted = run is not None and run.manifest().get("job") == "invert"
    weights, why = resolve_preset(arguments.preset)
    report.note(why)
    generator = PanoHead.load(weights.require_generator(), environment.choose_device(arguments.device))
    styles: dict[str, Style] = {}
    for choice in load_styles(generator, arguments.style, ()):
        styles[_unused(choice.prompt, styles)] = choice.style
    follower = None
    if run is not None and not inverted:
        follower = Follower(run)
        newest = follower.style(generator.fingerprint())
        if newest is not None:
            styles = {follower.name: newest, **styles}
    files = [*arguments.latent, *([run.path / LATENT] if run is not None and inverted else [])]
    latents = {head.name: head.ws for head in latent_heads(generator, files)}
    return Gathered(SharedGenerator(generator, styles, latents), follower)


def _unused(name: str, taken: dict[str, Style]) -> str:
    numbered = (f"{name} {number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)
