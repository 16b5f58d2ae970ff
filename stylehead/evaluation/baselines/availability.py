"""Which editors there are with which weights."""

from stylehead.errors import MissingError
from stylehead.evaluation.baselines.portrait_editor import InstructedEditor, PortraitEditor
from stylehead.teacher.editing.instruction import instruction_for
from stylehead.weights.presets import Preset
from stylehead.weights.pretrained import quiet_libraries

_FOLDER = "or give a folder of its pictures with --images"


def why_no_editor(name: str, weights: Preset) -> MissingError | None:
    """Why a system cannot edit pictures with these weights, or None when it can.

    Args:
        name: `ip2p` or `instantid`.
        weights: The preset.
    """
    if name == "ip2p":
        from stylehead.teacher.editing.opening import why_no_preset_editor

        why = why_no_preset_editor(weights)
        return None if why is None else MissingError(str(why), f"{why.hint}, {_FOLDER}")
    if name not in weights.companions:
        return MissingError(
            "InstantID's published parts are for SDXL, which is not read; there is an embedded one only.",
            "give a folder of its pictures with --images",
        )
    if weights.companion(name) is None:
        lacks = weights.lacks(name)
        return MissingError(lacks.message, f"{lacks.hint}, {_FOLDER}")
    return None


def open_portrait_editor(name: str, weights: Preset, device: str) -> PortraitEditor:
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


def _open_ip2p(weights: Preset, device: str) -> PortraitEditor:
    from stylehead.teacher.editing.instruct import PUBLISHED_STEPS
    from stylehead.teacher.editing.opening import open_preset_editor

    editor = open_preset_editor(weights, device=device, steps=PUBLISHED_STEPS)
    published = "ip2p" not in weights.companions  # the embedded one reads any wording
    return InstructedEditor(editor, instruct=instruction_for if published else str)


def _open_instantid(weights: Preset, device: str) -> PortraitEditor:
    from stylehead.evaluation.baselines.instantid import InstantID

    own = weights.companions
    return InstantID.embedded(weights.require_teacher(), own["instantid"], own["faces"], device=device)


_OPENERS = {"ip2p": _open_ip2p, "instantid": _open_instantid}
