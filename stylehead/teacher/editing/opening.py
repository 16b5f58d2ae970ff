"""Which editor a local folder holds, and which one a preset has."""

from pathlib import Path

from stylehead.errors import MissingError
from stylehead.teacher.editing.editor import EMBEDDED, PUBLISHED, Editor, Guidance
from stylehead.teacher.editing.instruct import STEPS, InstructPix2Pix
from stylehead.teacher.editing.pipeline import (
    INDEX,
    PipelineEditor,
    check_takes_pictures,
    pipeline_class,
    read_index,
    read_licence,
)
from stylehead.weights.catalogue import find, local_path
from stylehead.weights.presets import Preset

IP2P = "instruct-pix2pix"
"""In the catalogue."""
_COMPANION = "ip2p"
_INSTRUCT = "StableDiffusionInstructPix2PixPipeline"


def open_editor(folder: Path, *, device: str = "cpu", guidance: Guidance | None = None) -> Editor:
    """Load the editor in a local folder in diffusers layout.

    Args:
        folder: With a `model_index.json`, which names the pipeline.
        device: Where its networks go.
        guidance: Scales of instruction and picture; the editor's own where not given.

    Raises:
        MissingError: There is no pipeline in the folder, or a part of it is missing.
        JobError: It is damaged, or is none that edits pictures.
    """
    if read_index(folder).get("_class_name") == _INSTRUCT:
        return InstructPix2Pix.load(
            folder, device=device, guidance=guidance or PUBLISHED, licence=read_licence(folder)
        )
    return PipelineEditor.load(folder, device=device, guidance=guidance)


def check_editor(folder: Path) -> None:
    """Check that a folder holds an editor, by its index alone: before pictures are made for it.

    Raises:
        MissingError: There is no pipeline in the folder.
        JobError: It is damaged, or is none that edits a picture by a prompt.
    """
    if read_index(folder).get("_class_name") == _INSTRUCT:
        return
    check_takes_pictures(pipeline_class(folder))


def why_no_preset_editor(weights: Preset) -> MissingError | None:
    """Why a preset has no InstructPix2Pix on this machine, or None when it has."""
    if weights.companion(_COMPANION) is not None:
        return None
    if _COMPANION in weights.companions:
        return weights.lacks(_COMPANION)
    if local_path(IP2P) is None:
        return MissingError(f"{find(IP2P).title} is not here.", f"stylehead weights fetch {IP2P}")
    return None


def open_preset_editor(
    weights: Preset, *, device: str = "cpu", guidance: Guidance | None = None, steps: int = STEPS
) -> InstructPix2Pix:
    """Load the InstructPix2Pix of a preset: the one beside its generator, else the registered one.

    Args:
        weights: The preset.
        device: Where its networks go.
        guidance: Scales of instruction and picture; where not given those that suit the preset.
        steps: Number of DDIM steps of a published one.

    Raises:
        MissingError: There is none on this machine.
        JobError: Its files are damaged.
    """
    if (why := why_no_preset_editor(weights)) is not None:
        raise why
    own = weights.companion(_COMPANION)
    if own is None:
        published = local_path(IP2P)
        assert published is not None
        return InstructPix2Pix.load(
            published,
            device=device,
            guidance=_filled(guidance, PUBLISHED),
            steps=steps,
            licence=find(IP2P).licence,
        )
    whole = (own / INDEX).is_file()  # else it shares all but the denoiser with the teacher
    return InstructPix2Pix.load(
        own if whole else weights.require_teacher(),
        unet=own / "unet",
        device=device,
        guidance=_filled(guidance, EMBEDDED),
        licence=weights.licence,
    )


def _filled(guidance: Guidance | None, usual: Guidance) -> Guidance:
    if guidance is None:
        return usual
    return Guidance(
        usual.text if guidance.text is None else guidance.text,
        usual.picture if guidance.picture is None else guidance.picture,
    )
