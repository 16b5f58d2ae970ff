"""Opening networks that look at pictures: the preset's own, the catalogue's, or the user's."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, get_args

from stylehead.errors import MissingError
from stylehead.perception.roles import Encoders, Role
from stylehead.weights.catalogue import accepted, find, local_path
from stylehead.weights.presets import Preset

ENTRIES: dict[Role, str] = {
    "faces": "insightface-buffalo_l",
    "image_text": "clip-vit-b32",
    "depth": "depth-anything-v2-small",
    "features": "lpips-alex",
}
"""Entries of the catalogue at full scale."""
_ONLY_EMBEDDED: dict[Role, str] = {
    "recogniser": "a classifier of its styles",
    "style_judge": "a second classifier of its styles",
    "identity_judge": "a second identity encoder",
}


class EncoderFiles(NamedTuple):
    """Files of the user, which take the place of what the preset would bring."""

    clip: Path | None = None
    faces: Path | None = None
    depth: Path | None = None
    inception: Path | None = None

    def of(self, role: Role) -> Path | None:
        """Return the one of a role, if it is given."""
        path: Path | None = getattr(self, "clip" if role == "image_text" else role, None)
        return path


def open_perception(
    preset: Preset,
    roles: Collection[Role] = get_args(Role),
    *,
    files: EncoderFiles | None = None,
    device: str = "cpu",
) -> Encoders:
    """Open the networks that are there; the others are missing with a reason.

    Args:
        preset: Whose pictures they will see.
        roles: Which are wanted; the others stay None.
        files: Networks to use instead.
        device: Where they compute.

    Raises:
        StyleheadError: A file of the user is not what it should be.
    """
    networks: dict[str, Any] = {}
    why: dict[str, MissingError] = {}
    for role in roles:
        path = (files or EncoderFiles()).of(role)
        try:
            if path is not None:
                networks[role] = _load(role, path, device)
            elif preset.companions:
                networks[role] = _embedded(preset, role, device)
            else:
                networks[role] = _load(role, _catalogued(role), device)
        except _NotHereError as reason:
            why[role] = reason
    return Encoders(**networks, why=why)


class _NotHereError(MissingError):
    """A network that a preset does not bring: no failure, only a reason."""


def _embedded(preset: Preset, role: Role, device: str) -> Any:
    """Open the network of a role that belongs to the embedded generator."""
    from stylehead.perception.embedded import IdentityEncoder, StyleClassifier
    from stylehead.perception.image_text import EmbeddedImageText
    from stylehead.perception.judges import IdentityJudge, StyleJudge

    if role == "inception":
        raise _no_inception()
    if role == "depth":
        raise _NotHereError(f"The {preset.name} preset has no depth estimator.", "--depth-model FOLDER")
    # Perceptual distances are computed over the classifier's features: it takes part in no training.
    companion = "recogniser" if role == "features" else role
    path = preset.companion(companion)
    if path is None:
        reason = preset.lacks(companion)
        trained = f"python -m stylehead.world {role}" if role in ("style_judge", "identity_judge") else None
        raise _NotHereError(reason.message, trained or reason.hint)
    if role == "image_text":
        return EmbeddedImageText.load(path, device=device)
    kinds = {"faces": IdentityEncoder, "style_judge": StyleJudge, "identity_judge": IdentityJudge}
    return kinds.get(role, StyleClassifier).load(path).to(device)


def _catalogued(role: Role) -> Path:
    """Find the weights of a role among those of the catalogue that are here and may be used."""
    if role == "inception":
        raise _no_inception()
    if role in _ONLY_EMBEDDED:
        raise _NotHereError(f"Only the embedded world has {_ONLY_EMBEDDED[role]}.")
    entry = find(ENTRIES[role])
    path = local_path(entry.id)
    if path is None:
        raise _NotHereError(f"{entry.title} is not here.", f"stylehead weights fetch {entry.id}")
    if not accepted(entry.id):
        raise _NotHereError(
            f"The licence of {entry.title} is not accepted.",
            f"stylehead weights fetch {entry.id} --accept-license {entry.id}",
        )
    return path


def _no_inception() -> _NotHereError:
    return _NotHereError("FID and KID need Inception.", "--inception FILE")


def _load(role: Role, path: Path, device: str) -> Any:
    """Load the full-scale network of a role from its file or folder."""
    if role == "image_text":
        from stylehead.perception.image_text import Clip

        return Clip.load(path, device)
    if role == "faces":
        from stylehead.perception.arcface import ArcFace

        return ArcFace.load(path, device)
    if role == "depth":
        from stylehead.perception.depth import DepthEstimator

        return DepthEstimator.load(path, device=device)
    if role == "features":
        from stylehead.perception.lpips import LpipsPictures, load_lpips

        return LpipsPictures(load_lpips(path, device), device)
    from stylehead.perception.inception import Inception

    return Inception.load(path, device)
