"""Which encoders measure: the embedded ones of the mini preset, those of the catalogue, or the user's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import MissingError
from stylehead.perception.encoders import Encoders, MiniFaces, MiniImageText, MiniStyles
from stylehead.weights.catalogue import accepted, find, local_path
from stylehead.weights.presets import Preset

ENTRIES = {
    "face": "insightface-buffalo_l",
    "image_text": "clip-vit-b32",
    "depth": "depth-anything-v2-small",
}
"""Entries of the catalogue that measure at full scale."""


class EncoderFiles(NamedTuple):
    """Files of the user, which take the place of what the preset would measure with."""

    clip: Path | None = None
    faces: Path | None = None
    depth: Path | None = None
    inception: Path | None = None


def load_encoders(preset: Preset, files: EncoderFiles | None = None, *, device: str = "cpu") -> Encoders:
    """Load every encoder that is there; the others are missing with a reason.

    Args:
        preset: Whose pictures are measured.
        files: Encoders to use instead.
        device: Where they compute.

    Raises:
        StyleheadError: A file of the user is not what it should be.
    """
    files = files or EncoderFiles()
    found: dict[str, Any] = {}
    why: dict[str, MissingError] = {
        "inception": MissingError("FID and KID need Inception.", "--inception FILE")
    }
    if preset.companions:
        found |= _embedded(preset, device, why)
    else:
        found |= _catalogued(device, why)
    loaders = _loaders()
    for role, path in {
        "image_text": files.clip,
        "face": files.faces,
        "depth": files.depth,
        "inception": files.inception,
    }.items():
        if path is not None:
            found[role] = loaders[role](path, device)
    return Encoders(**found, why=why)


def _embedded(preset: Preset, device: str, why: dict[str, MissingError]) -> dict[str, Any]:
    builders: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "face": ("faces", lambda path: MiniFaces(path, device)),
        "image_text": (
            "image_text",
            lambda path: MiniImageText(path, preset.teacher / "tokenizer", device),
        ),
        "style": ("recogniser", lambda path: MiniStyles(path, device)),
    }
    found = {}
    for measured, (role, build) in builders.items():
        path = preset.companion(role)
        if path is None:
            why[measured] = preset.lacks(role)
        else:
            found[measured] = build(path)
    if "style" in found:
        found["perceptual"] = found["style"]
    why["depth"] = MissingError(f"The {preset.name} preset has no depth estimator.", "--depth-model FOLDER")
    return found


def _catalogued(device: str, why: dict[str, MissingError]) -> dict[str, Any]:
    found, loaders = {}, _loaders()
    for role, entry_id in ENTRIES.items():
        path = local_path(entry_id)
        if path is None:
            command = f"stylehead weights fetch {entry_id}"
            why[role] = MissingError(f"{find(entry_id).title} is not here.", command)
        elif not accepted(entry_id):
            why[role] = MissingError(
                f"The licence of {find(entry_id).title} is not accepted.",
                f"stylehead weights fetch {entry_id} --accept-license {entry_id}",
            )
        else:
            found[role] = loaders[role](path, device)
    none = "Only the embedded world has {}."
    why["style"] = MissingError(none.format("a classifier of its styles"))
    why["perceptual"] = MissingError(none.format("a feature network for perceptual distances"))
    return found


def _loaders() -> dict[str, Callable[[Path, str], Any]]:
    from stylehead.perception.arcface import ArcFace
    from stylehead.perception.clip import Clip
    from stylehead.perception.inception import Inception
    from stylehead.perception.monocular import MonocularDepth

    return {
        "image_text": Clip.load,
        "face": ArcFace.load,
        "depth": MonocularDepth.load,
        "inception": Inception.load,
    }
