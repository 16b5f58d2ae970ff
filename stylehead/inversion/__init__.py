"""From a photograph to a head of the generator: face, crop, camera, latent, and how good it is.

inverter = Inverter(generator, ImageSimilarity.load(MINI_WEIGHTS))
prepared = inverter.prepare(pixels, alpha=None)
found = inverter.project(prepared.target, inverter.initialise(prepared.target))
save_latent(Path("latent.npz"), found.ws, found.camera_label)
"""

from stylehead.inversion.align import AlignedFace, Square, align_face, crop, whole_square
from stylehead.inversion.faces import Face, FaceChoice, FaceFinder, choose_face
from stylehead.inversion.finders import load_face_finder
from stylehead.inversion.guess import Guess
from stylehead.inversion.inversion_config import InversionConfig
from stylehead.inversion.inverter import Camera, Inverter, Prepared
from stylehead.inversion.latents import LatentSpace, read_camera, save_latent
from stylehead.inversion.photographs import Photo, read_photo
from stylehead.inversion.pivotal import PivotalConfig, tune
from stylehead.inversion.project import Initialisation, ProjectedHead, Projection, ProjectionStep
from stylehead.inversion.quality import Quality, assess, with_face
from stylehead.inversion.search import GridConfig, PoseGrid, Start
from stylehead.inversion.similarity import ImageSimilarity, TargetImage

__all__ = [
    "AlignedFace",
    "Camera",
    "Face",
    "FaceChoice",
    "FaceFinder",
    "GridConfig",
    "Guess",
    "ImageSimilarity",
    "Initialisation",
    "InversionConfig",
    "Inverter",
    "LatentSpace",
    "Photo",
    "PivotalConfig",
    "PoseGrid",
    "Prepared",
    "ProjectedHead",
    "Projection",
    "ProjectionStep",
    "Quality",
    "Square",
    "Start",
    "TargetImage",
    "align_face",
    "assess",
    "choose_face",
    "crop",
    "load_face_finder",
    "read_camera",
    "read_photo",
    "save_latent",
    "tune",
    "whole_square",
    "with_face",
]
