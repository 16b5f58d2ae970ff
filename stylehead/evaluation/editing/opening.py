"""Which editors there are with which weights."""

from stylehead.errors import MissingError
from stylehead.evaluation.editing.editor import Editor
from stylehead.weights.catalogue import find, local_path
from stylehead.weights.presets import Preset
from stylehead.weights.pretrained import quiet_libraries

IP2P = "instruct-pix2pix"
"""In the catalogue."""
_FOLDER = "or give a folder of its pictures with --images"


def why_no_editor(name: str, weights: Preset) -> MissingError | None:
    """Why a system cannot edit pictures with these weights, or None when it can.

    Args:
        name: `ip2p` or `instantid`.
        weights: The preset.
    """
    if weights.name == "mini":
        if weights.companion(name) is None:
            return MissingError(f"The mini preset has no {name} here.", f"{weights.repair}, {_FOLDER}")
        return None
    if name == "ip2p":
        if local_path(IP2P) is None:
            return MissingError(
                f"{find(IP2P).title} is not here.", f"stylehead weights fetch {IP2P}, {_FOLDER}"
            )
        return None
    return MissingError(
        "This version of stylehead has InstantID at the embedded size only, not on SDXL.",
        "give a folder of its pictures with --images",
    )


def open_editor(name: str, weights: Preset, device: str) -> Editor:
    """Load a system that edits pictures.

    Args:
        name: `ip2p` or `instantid`.
        weights: The preset.
        device: `cpu` or `cuda`.

    Raises:
        MissingError: It is not there with these weights.
        JobError: Its files are damaged.
    """
    if (why := why_no_editor(name, weights)) is not None:
        raise why
    with quiet_libraries():  # at their import, too
        return _OPENERS[name](weights, device)


def _open_ip2p(weights: Preset, device: str) -> Editor:
    from stylehead.evaluation.editing.ip2p import InstructPix2Pix

    if weights.name == "mini":
        folder = weights.generator.with_name("ip2p")
        return InstructPix2Pix.embedded(weights.require_teacher(), folder, device=device)
    published = local_path(IP2P)
    assert published is not None
    return InstructPix2Pix.load(published, device=device)


def _open_instantid(weights: Preset, device: str) -> Editor:
    from stylehead.evaluation.editing.instantid import InstantID

    beside = weights.generator.with_name
    return InstantID.embedded(
        weights.require_teacher(), beside("instantid"), beside("identity.safetensors"), device=device
    )


_OPENERS = {"ip2p": _open_ip2p, "instantid": _open_instantid}
