"""What a command was asked for, as plain values.

They pass from the command, which reads what was typed and must start at once, to the module that carries it
out, which is slow to import.
"""

from pathlib import Path
from typing import NamedTuple

from stylehead.weights.presets import PresetName


class Views(NamedTuple):
    """From where heads are seen, and on what ground."""

    yaw_steps: int
    pitch_deg: float
    background: str
    side_by_side: bool
    fps: int


class MeshRequest(NamedTuple):
    """The mesh that was asked for."""

    path: Path
    resolution: int
    level: float | None


class InvertRequest(NamedTuple):
    """Everything that was typed after `stylehead invert`."""

    photo: Path | None
    face: int | None
    aligned: bool
    camera: str | None
    steps: int
    starts: int
    identity_weight: float
    latent_weight: float
    seed: int
    pti: bool
    pti_steps: int
    preset: PresetName
    device: str
    out: Path | None
    overwrite: bool


class Sample(NamedTuple):
    """On whom and from where is measured."""

    identities: int
    yaws_deg: tuple[float, ...]
    psi: float | None
    batch: int


class Wishes(NamedTuple):
    """Which rows the table shall have."""

    runs: tuple[Path, ...]
    images: tuple[Path, ...]
    methods: str | None
    prompts: tuple[str, ...]
    ablation: bool
    iterations: int | None


class Measuring(NamedTuple):
    """With what is measured: reference pictures and encoders of the user."""

    reference: str
    clip: str | None
    faces: str | None
    depth: str | None
    inception: Path | None
    force_fid: bool


class Files(NamedTuple):
    """Files to write, and limits that decide about the exit code."""

    csv: Path | None
    report: Path | None
    fail_under: tuple[str, ...]
    fail_over: tuple[str, ...]
