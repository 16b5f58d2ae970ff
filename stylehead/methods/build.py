"""The systems of the table, one file each: what they train, what they look at, what they minimise."""

from stylehead.config import StylizeConfig
from stylehead.errors import MissingError
from stylehead.images import FeatureMaps
from stylehead.methods.contract import Method, Perception
from stylehead.methods.diffusiongan3d import DiffusionGAN3D
from stylehead.methods.nada import Nada
from stylehead.methods.objective import Objective
from stylehead.methods.stages import DepthFunction
from stylehead.methods.styleclip import StyleCLIP
from stylehead.methods.styleganfusion import StyleGANFusion
from stylehead.teacher import Teacher

__all__ = ["DiffusionGAN3D", "Nada", "StyleCLIP", "StyleGANFusion", "build_method"]


def build_method(
    config: StylizeConfig,
    teacher: Teacher | None,
    *,
    features: FeatureMaps | None = None,
    depth_estimator: DepthFunction | None = None,
    perception: Perception | None = None,
) -> Method:
    """Build the method that the settings name.

    Args:
        config: All settings.
        teacher: The diffusion model, which some methods do without.
        features: Feature network of perceptual distances, needed when their weight is not 0.
        depth_estimator: Monocular depth, used when the settings allow it.
        perception: Networks that look at pictures.

    Raises:
        UsageError: The settings do not fit the models.
        MissingError: A network that the method needs is not there.
    """
    perception = perception or Perception()
    if config.method == "nada":
        return Nada(config, perception.image_text)
    if config.method == "styleclip":
        return StyleCLIP(config, perception)
    if teacher is None:
        raise MissingError(f"The method {config.method} needs a teacher.", "--diffusion FOLDER")
    if config.method == "styleganfusion":
        return StyleGANFusion(config, teacher, features)
    if config.method == "diffusiongan3d":
        return DiffusionGAN3D(config, teacher)
    return Objective(teacher, config, features=features, depth_estimator=depth_estimator)
