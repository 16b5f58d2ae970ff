"""Which program finds faces: insightface's models where they may be used, else CenterFace."""

from typing import NamedTuple

from stylehead.inversion.faces import MODELS, Detector, FaceFinder
from stylehead.weights import catalogue


class Chosen(NamedTuple):
    """A detector, its catalogue entry (None: it comes with the package), and a line that says which."""

    detector: Detector
    entry: str | None
    note: str


def load_face_finder() -> Chosen:
    """Load insightface's models where they may be used, else CenterFace.

    Raises:
        MissingError: The package that brings CenterFace is not installed.
    """
    from stylehead.inversion.centerface import CenterFace  # reads its network with OpenCV, once asked

    folder = catalogue.local_path(MODELS)
    if folder is not None and catalogue.accepted(MODELS):
        return Chosen(FaceFinder.load(folder), MODELS, f"Faces are found by {MODELS}.")
    why = "is not here" if folder is None else "is here, but its licence is not accepted"
    return Chosen(
        CenterFace.load(), None, f"Faces are found by CenterFace (MIT); {MODELS}, which is finer, {why}."
    )
