"""Any editing pipeline of diffusers in a local folder, called through its own interface."""

import inspect
import json
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.teacher.editing.editor import Guidance, level_background, resized
from stylehead.weights.pretrained import load_local, quiet_libraries

INDEX = "model_index.json"
SETTINGS: dict[str, dict[str, Any]] = {
    "StableDiffusionXLInstructPix2PixPipeline": {
        "num_inference_steps": 30, "guidance_scale": 7.5, "image_guidance_scale": 1.5,
    },
    "FluxKontextPipeline": {"num_inference_steps": 28, "guidance_scale": 2.5},
    "Flux2KleinPipeline": {"num_inference_steps": 4, "guidance_scale": 1.0},
    "LongCatImageEditPipeline": {"num_inference_steps": 50, "guidance_scale": 4.5},
    "QwenImageEditPipeline": {"num_inference_steps": 40, "true_cfg_scale": 4.0, "negative_prompt": " "},
    "QwenImageEditPlusPipeline": {"num_inference_steps": 40, "true_cfg_scale": 4.0, "negative_prompt": " "},
}  # fmt: skip
"""What each family of editors is called with, as its authors advise; others get their own defaults."""
PICTURE_SIZE = 1024
"""Edge of the pictures that are handed over: what today's editors are trained on."""
_TEXT_SCALES = ("true_cfg_scale", "guidance_scale")
_PICTURE_SCALE = "image_guidance_scale"


class PipelineEditor:
    """Edits one view after the other, each from the same seed.

    Args:
        pipeline: Takes at least `prompt` and `image`.
        licence: Of its weights.
        guidance: Scales, where the pipeline has them.
        size: Edge of the pictures that are handed over.

    Raises:
        JobError: The pipeline is none that edits a picture by prompt.
    """

    def __init__(
        self, pipeline: Any, *, licence: str = "", guidance: Guidance | None = None, size: int = PICTURE_SIZE
    ) -> None:
        self._pipeline, self._size = pipeline, size
        self.name, self.licence = type(pipeline).__name__, licence
        self._takes = check_takes_pictures(type(pipeline))
        self.settings = SETTINGS.get(self.name, {}) | self._scales(guidance or Guidance())

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", guidance: Guidance | None = None) -> Self:
        """Load a pipeline from a local folder in diffusers layout; never runs code stored there.

        Raises:
            MissingError: There is no pipeline in the folder.
            JobError: It is damaged, needs code of its own, or is none that edits pictures.
        """
        kind = pipeline_class(folder)
        half = torch.bfloat16 if device.startswith("cuda") else torch.float32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `torch_dtype` is old, its new name too new
            pipeline = load_local(kind.from_pretrained, folder, use_safetensors=True, torch_dtype=half)
        pipeline.set_progress_bar_config(disable=True)
        if device.startswith("cuda"):
            pipeline.enable_model_cpu_offload(device=device)  # these are large: one network at a time
        return cls(pipeline, licence=read_licence(folder), guidance=guidance)

    def _scales(self, guidance: Guidance) -> dict[str, float]:
        """Return the scales that are given, under the names that the pipeline has for them."""
        scales = {}
        text = next((name for name in _TEXT_SCALES if name in self._takes), None)
        if guidance.text is not None and text is not None:
            scales[text] = guidance.text
        if guidance.picture is not None and _PICTURE_SCALE in self._takes:
            scales[_PICTURE_SCALE] = guidance.picture
        return scales

    @torch.no_grad()
    def edit(self, pictures_01: Tensor, instruction: str, *, seed: int, negative: str = "") -> Tensor:
        """Edit views of one subject; see `Editor.edit`."""
        options = dict(self.settings)
        if negative and "negative_prompt" in self._takes:
            options["negative_prompt"] = negative
        edited = []
        for picture in resized(pictures_01, self._size).cpu():
            pixels = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            with quiet_libraries():
                result = self._pipeline(
                    prompt=instruction,
                    image=Image.fromarray(pixels),
                    generator=torch.Generator().manual_seed(seed),
                    **options,
                ).images[0]
            edited.append(_tensor(result))
        views = resized(torch.stack(edited), edited[0].shape[-1])
        return level_background(views, resized(pictures_01.cpu().float(), views.shape[-1]))


def check_takes_pictures(kind: type) -> set[str]:
    """Return what a pipeline is called with, if it takes a picture and a prompt.

    Raises:
        JobError: It does not.
    """
    takes = set(inspect.signature(kind.__call__).parameters)
    if not {"prompt", "image"} <= takes:
        raise JobError(
            f"A {kind.__name__} does not edit a picture by a prompt.", "give the folder of one that does"
        )
    return takes


def pipeline_class(folder: Path) -> Any:
    """Return the class of diffusers that the pipeline in a folder names.

    Raises:
        MissingError: There is no pipeline in the folder.
        JobError: Its index is damaged, names no class of this diffusers, or a part with code of its own.
    """
    import diffusers

    index = read_index(folder)
    name = index.get("_class_name")
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    if kind is None or not hasattr(kind, "from_pretrained"):
        raise JobError(
            f"`{folder}` is a {name}, which this version of diffusers ({diffusers.__version__}) lacks.",
            "pip install --upgrade diffusers",
        )
    for part, entry in index.items():
        library = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(library, str) and (folder / part / f"{library}.py").exists():
            raise JobError(f"`{part}` of `{folder}` needs code of its own, which is never run.")
    return kind


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a pipeline.

    Raises:
        MissingError: There is none.
        JobError: It is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        raise MissingError(
            f"There is no editor in `{folder}`: it has no {INDEX}.", "give a folder in diffusers layout"
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"`{path}` is damaged: {error}.") from error
    if not isinstance(index, dict):
        raise JobError(f"`{path}` is damaged: it holds no JSON object.")
    return index


def read_licence(folder: Path) -> str:
    """Return the licence that a model card in the folder names in its front matter, or advice to look."""
    card = folder / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:60]:
            key, _, value = line.partition(":")
            if key.strip() == "license" and value.strip():
                return value.strip()
    return "unknown: see the model's card"


def _tensor(image: Image.Image) -> Tensor:
    """Return a picture as [3, H, W] in 0..1."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255
