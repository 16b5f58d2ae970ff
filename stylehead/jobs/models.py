"""Loading the models of a stylise job."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.files import read_json
from stylehead.jobs.inventory import Inventory
from stylehead.methods.config import StylizeConfig, TeacherSettings

if TYPE_CHECKING:
    import torch

    from stylehead.methods import FeatureMaps, Stylizer
    from stylehead.methods.contract import FaceVectors
    from stylehead.perception.depth import DepthEstimator
    from stylehead.perception.roles import ImageText
    from stylehead.teacher import Teacher, TeacherPaths


def load_stylizer(needs: Inventory, device: str) -> "Stylizer":
    """Load the models of a job. The reference is loaded from the file again, so that nothing is shared.

    Raises:
        StyleheadError: A model is missing, damaged, or does not fit the others.
    """
    from stylehead.generator import PanoHead
    from stylehead.methods.contract import Networks
    from stylehead.methods.trainer import Stylizer
    from stylehead.precision import choose_dtype

    config, path = needs.require().config, needs.preset.require_generator()
    return Stylizer(
        PanoHead.load(path, device),
        PanoHead.load(path, device),
        config,
        Networks(
            teacher=_load_teacher(config, needs, device),
            features=_load_features(needs, device),
            depth_estimator=_load_estimator(needs, device, choose_dtype(precision_of(config), device)),
            image_text=_load_image_text(needs, device),
            faces=_load_faces(needs, device),
            latent_fraction=latent_fraction(needs.preset.teacher),
        ),
    )


def latent_fraction(teacher: Path) -> int:
    """Pixels along the edge of a latent of the autoencoder in a teacher's folder; 8 where there is none."""
    from stylehead.teacher.paths import part_of

    config = part_of(teacher, "vae") / "config.json"
    levels = read_json(config).get("block_out_channels", ()) if config.is_file() else ()
    return 2 ** (len(levels) - 1) if levels else 8


def _load_teacher(config: StylizeConfig, needs: Inventory, device: str) -> "Teacher | None":
    from stylehead.precision import choose_dtype
    from stylehead.teacher import Teacher

    paths = needs.teacher_paths()
    if paths is None:
        return None
    assert isinstance(config, TeacherSettings), "a method with a teacher has them"
    options: dict[str, Any] = {
        "device": device,
        "dtype": choose_dtype(config.precision, device),
        "vae_dtype": choose_dtype(config.vae_precision, device),
        "steps": config.ddim_steps,
    }
    if not paths.edits:
        return Teacher.load(paths, **options)
    return _load_editing_teacher(config, paths, needs, options)


def _load_editing_teacher(
    config: TeacherSettings, paths: "TeacherPaths", needs: Inventory, options: Mapping[str, Any]
) -> "Teacher":
    """Load an editor that teaches; one that is not the preset's few-words editor is told what to do."""
    from stylehead.jobs.needs import few_words
    from stylehead.teacher.editing.instruction import instruction_for
    from stylehead.teacher.editing.teaching import PICTURE_SCALE, EditingTeacher

    teacher = EditingTeacher.load(paths, **options)
    assert isinstance(teacher, EditingTeacher)
    scale = getattr(config, "picture_scale", None)
    teacher.picture_scale = PICTURE_SCALE if scale is None else scale
    if few_words(config, needs.preset) is None:
        teacher.instruct = instruction_for
    return teacher


def _load_image_text(needs: Inventory, device: str) -> "ImageText | None":
    path = needs.path("clip")
    if path is None:
        return None
    from stylehead.perception.image_text import Clip, EmbeddedImageText

    if path.is_dir():
        return Clip.load(path, device)
    return EmbeddedImageText.load(path, device=device)


def _load_faces(needs: Inventory, device: str) -> "FaceVectors | None":
    path = needs.path("faces")
    if path is None:
        return None
    if path.is_dir():
        from stylehead.perception.face_network import FaceNetwork

        return FaceNetwork.load(path, device)
    from stylehead.perception.embedded import IdentityEncoder

    return IdentityEncoder.load(path).to(device)


def precision_of(config: StylizeConfig) -> str:
    """The numbers that were asked for, for methods with a teacher."""
    return config.precision if isinstance(config, TeacherSettings) else "auto"


def _load_estimator(needs: Inventory, device: str, dtype: "torch.dtype") -> "DepthEstimator | None":
    folder = needs.path("depth_estimator")
    if folder is None:
        return None
    from stylehead.perception.depth import DepthEstimator

    return DepthEstimator.load(folder, device=device, dtype=dtype)


def _load_features(needs: Inventory, device: str) -> "FeatureMaps | None":
    """The feature network of the perceptual distance, if the job wants one."""
    path = needs.path("features")
    if path is None:
        return None
    if path.is_dir():
        from stylehead.perception.lpips import load_lpips

        return load_lpips(path, device)
    from stylehead.perception.embedded import ImageTextEncoder

    return ImageTextEncoder.load(path).to(device).trunk.maps
