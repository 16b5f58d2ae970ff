"""What `stylehead invert` says at its end: where the head is, how alike it is, and what to do with it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.cli.output import Output
from stylehead.jobs.report import Result

if TYPE_CHECKING:
    from stylehead.jobs.projecting import InvertRun


def show(run: "InvertRun", output: Output) -> None:
    """Say what was found, how good it is, and what to do with it."""
    quality = run.quality
    for warning in quality["warnings"]:
        output.warn(f"A poor likeness: {warning}.")
    rows: list[tuple[str, Path | str]] = [
        ("run", run.folder),
        ("latent", run.latent),
        ("contact sheet", run.contact_sheet),
        ("camera", f"yaw {quality['yaw_deg']:.1f}, pitch {quality['pitch_deg']:.1f} degrees"),
        ("likeness", likeness(quality)),
    ]
    styles = ""
    if run.personal is not None:
        rows.insert(2, ("personal style", run.personal))
        styles = f" --style {shlex.quote(str(run.personal))}"
    hint = f"stylehead render --latent {shlex.quote(str(run.latent))}{styles} --yaw-steps 36"
    data = {"run": run.folder, **run.files(), "quality": quality, "manifest": run.manifest}
    output.result(Result(primary=(run.latent,), rows=tuple(rows), data=data, next=(hint,)))


def likeness(quality: dict[str, Any]) -> str:
    """The figures of a quality report in a few words."""
    parts = [f"outline {quality['outline']:.0%}", f"{quality['psnr_db']:.1f} dB"]
    if quality["perceptual"] is not None:
        parts.insert(0, f"perceptual distance {quality['perceptual']:.3f}")
    if quality["identity"] is not None:
        parts.insert(0, f"identity {quality['identity']:.2f}")
    if quality["face"] is not None:
        parts.insert(0, f"face {quality['face']:.2f}")
    if quality["likeness"] is False:
        parts.insert(0, "not a likeness")
    return ", ".join(parts)
