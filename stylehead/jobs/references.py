"""What the rows of a table are compared with: the truth, the teacher's pictures, or a folder of some."""

import dataclasses
from pathlib import Path

from stylehead.errors import MissingError, UsageError
from stylehead.evaluation.portraits import Portraits
from stylehead.evaluation.truth import TruthSet, open_truth
from stylehead.jobs.arguments import EvaluateArguments
from stylehead.jobs.inventory import Inventory
from stylehead.jobs.needs import list_needs
from stylehead.methods.config import StylizeConfig
from stylehead.weights.presets import Preset

PHOTO_PROMPT = "a photo of a person"


def check_reference(
    weights: Preset, arguments: EvaluateArguments
) -> tuple[TruthSet | None, MissingError | None]:
    """Look whether what rows are compared with is there, before any work: the truth, or why there is none.

    Raises:
        UsageError: `--reference` asks for something that is not there.
        StyleheadError: It asks for the teacher's pictures, and a network of the teacher is missing.
    """
    truth, why = find_truth(weights, arguments.psi)
    asked = arguments.reference
    if asked == "truth" and truth is None:
        raise UsageError(f"`--reference` (=truth): {why.message if why else 'it is not known'}")
    if asked == "teacher":
        _painter(weights, PHOTO_PROMPT).require()
    elif asked not in ("auto", "truth") and not Path(asked).is_dir():
        raise UsageError(f"`--reference` (={asked}) must be truth, teacher or a folder of pictures.")
    return truth, why


def find_truth(weights: Preset, psi: float | None) -> tuple[TruthSet | None, MissingError | None]:
    """Return the true pictures of heads truncated like this, or why there are none."""
    if weights.vocabulary is None:
        return None, MissingError("Only the embedded world knows what everybody truly looks like.")
    try:
        truth = open_truth()
    except MissingError as error:
        return None, error
    if psi is not None and psi != truth.psi:
        return None, MissingError(
            f"The true pictures show heads with --psi {truth.psi:g}.", f"--psi {truth.psi:g}"
        )
    return truth, None


def paint_prompt(weights: Preset, device: str, prompt: str, untouched: Portraits) -> Portraits:
    """Let the teacher paint a prompt over the edges of untouched pictures.

    Raises:
        StyleheadError: A network of the teacher is missing or damaged.
    """
    from stylehead.evaluation import teacher_pictures
    from stylehead.precision import choose_dtype
    from stylehead.teacher import Teacher

    paths = _painter(weights, prompt).require().teacher_paths()
    assert paths is not None, "the method of the paper needs one"
    dtype = choose_dtype("auto", device)
    teacher = Teacher.load(paths, device=device, dtype=dtype, vae_dtype=dtype)
    return teacher_pictures.teacher_pictures(teacher, untouched, prompt, steps=teacher_pictures.STEPS)


def _painter(weights: Preset, prompt: str) -> Inventory:
    """What the teacher needs to paint a prompt over edges, the registered ControlNet included."""
    settings = {"prompt": prompt, "preset": weights.name, "grid": False, "perceptual_weight": 0.0}
    return list_needs(StylizeConfig.from_dict(settings), dataclasses.replace(weights, vocabulary=None))
