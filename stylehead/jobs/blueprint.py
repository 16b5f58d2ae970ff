"""The networks of a planned job without numbers, from the configurations that are here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from stylehead.architecture import GeneratorConfig
from stylehead.cost import Blueprint
from stylehead.generator import PanoHead
from stylehead.generator.checkpoint import read_config
from stylehead.jobs.inventory import Inventory
from stylehead.jobs.models import precision_of
from stylehead.methods.config import TeacherSettings
from stylehead.methods.registry import method_class
from stylehead.perception.depth import DepthEstimator
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder
from stylehead.perception.face_network import FaceNetwork
from stylehead.perception.image_text import Clip, EmbeddedImageText
from stylehead.precision import choose_dtype
from stylehead.teacher.on_paper import teacher_on_paper
from stylehead.teacher.paths import part_of
from stylehead.teacher.shapes import depth_skeleton

if TYPE_CHECKING:
    from stylehead.teacher import Teacher

_PARTS = ("unet", "vae", "text_encoder")


def blueprint(needs: Inventory, device: str) -> Blueprint:
    """Build the networks of a job without numbers.

    Args:
        needs: The weights that it reads, here or not.
        device: Type of the device that it would run on.
    """
    estimator = None
    if needs.find("depth_estimator") is not None:
        dtype = choose_dtype(precision_of(needs.config), device)
        estimator = DepthEstimator(depth_skeleton(_folder(needs, "depth_estimator")).to(dtype))
    return Blueprint(
        _generator(needs),
        _teacher(needs, device),
        estimator,
        device=device,
        **_looking(needs),
    )


def _generator(needs: Inventory) -> PanoHead:
    folder = _folder(needs, "generator")
    config = GeneratorConfig.full() if folder is None else read_config(folder)
    with torch.device("meta"):
        return PanoHead(config).eval()


def _teacher(needs: Inventory, device: str) -> "Teacher | None":
    if not isinstance(needs.config, TeacherSettings) or needs.find("diffusion") is None:
        return None
    config = needs.config
    return teacher_on_paper(
        _folders(needs),
        choose_dtype(config.precision, device),
        vae_dtype=choose_dtype(config.vae_precision, device),
        steps=config.ddim_steps,
        edits=method_class(config.method).needed(config).editing,
    )


def _looking(needs: Inventory) -> dict[str, Any]:
    """The networks that look at pictures, and those behind them whose weights count.

    Where one is not here and nobody knows its size, the embedded one stands for it.
    """
    asked, others = method_class(needs.config.method).needed(needs.config), dict[str, nn.Module]()
    found: dict[str, Any] = {"others": others}
    if asked.image_text:
        clip = _folder(needs, "clip")
        embedded = clip is not None and clip.is_file()
        found["image_text"] = EmbeddedImageText.on_paper() if embedded else Clip.on_paper(clip)
        others["clip"] = found["image_text"].network
    with torch.device("meta"):
        if asked.faces:
            pack = _folder(needs, "faces")
            packed = pack is not None and pack.is_dir()
            faces: nn.Module = FaceNetwork.load(cast("Path", pack), "meta") if packed else IdentityEncoder()
            found["faces"] = others["faces"] = faces.eval().requires_grad_(False)
        if asked.features:
            others["features"] = ImageTextEncoder().eval().requires_grad_(False).trunk
            found["features"] = others["features"].maps
    return found


def _folders(needs: Inventory) -> dict[str, Path | None]:
    """The folder of every network of the teacher, None for those of Stable Diffusion 1.5's size."""
    base = _folder(needs, "diffusion")
    whole = base is None or base.is_file()
    folders = {role: None if whole or base is None else part_of(base, role) for role in _PARTS}
    for kind in ("canny", "depth"):
        role = f"controlnet_{kind}"
        if needs.find(role) is not None:
            folders[role] = _folder(needs, role)
        elif base is not None and (base / role).is_dir():
            folders[role] = base / role
    return folders | ({"vae": _folder(needs, "vae")} if needs.find("vae") is not None else {})


def _folder(needs: Inventory, role: str) -> Path | None:
    """Where weights are, or None when they are not here."""
    need = needs.find(role)
    return None if need is None else need.folder
