"""Stable Diffusion 1.x in one file, as most models are handed around: converted as it is read.

The file has the names of the original program. Which sizes they have is known (`shapes.STABLE_DIFFUSION_15`),
so nothing else is needed but a tokenizer, and nothing is fetched.
"""

import tempfile
from typing import Any

import torch
from torch import Tensor, nn

from stylehead.errors import JobError, MissingError
from stylehead.teacher.shapes import teacher_skeleton
from stylehead.weights.model_files import ModelFile
from stylehead.weights.pretrained import quiet_libraries
from stylehead.weights.recognise import SD1

_PREFIXES = {
    "unet": ("model.diffusion_model.",),
    "vae": ("first_stage_model.",),
    "text_encoder": ("cond_stage_model.transformer.",),
    "controlnet_canny": ("control_model.",),
    "controlnet_depth": ("control_model.",),
}
_TITLES = {"unet": "UNet", "vae": "autoencoder", "text_encoder": "text encoder"}
_WORDS = "text_model."
VELOCITY_MARK = "v_pred"
"""Tensor that checkpoints carry whose networks predict velocities."""


def has_network(file: ModelFile, role: str) -> bool:
    """Whether a checkpoint holds a network: some are handed around without their autoencoder."""
    return any(name.startswith(_PREFIXES[role]) for name in file.shapes)


def load_from_file(file: ModelFile, role: str, *, device: torch.device, dtype: torch.dtype) -> Any:
    """Load one network of a checkpoint, frozen and in evaluation mode.

    Args:
        file: A whole checkpoint; or of an autoencoder or a ControlNet alone, in either program's names.
        role: `unet`, `vae`, `text_encoder`, `controlnet_canny` or `controlnet_depth`.
        device: Where it goes.
        dtype: Of its weights, whatever the file's.

    Raises:
        MissingError: The file does not hold this network.
        JobError: It is another network than Stable Diffusion 1.x's.
    """
    alone = not has_network(file, role)
    if alone and role in ("unet", "text_encoder"):
        raise MissingError(f"`{file.path}` has no {_TITLES[role]}.")
    state = file.read(lambda name: alone or name.startswith(_PREFIXES[role]))
    try:
        with quiet_libraries():
            network = _text_encoder(state) if role == "text_encoder" else _converted(state, role, dtype)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        if "meta tensor" in reason:  # what diffusers says of numbers that are not there
            reason = f"it lacks some of the tensors of {SD1}'s"
        raise JobError(f"`{file.path}` cannot be read as {role.replace('_', ' ')}: {reason}") from error
    empty = [name for name, tensor in network.state_dict().items() if tensor.is_meta]
    if empty:
        raise JobError(
            f"`{file.path}` lacks `{empty[0]}` of Stable Diffusion 1.x's {role.replace('_', ' ')}."
        )
    return nn.Module.to(network, device, dtype).eval().requires_grad_(False)


def _converted(state: dict[str, Tensor], role: str, dtype: torch.dtype) -> Any:
    """Let diffusers rename the tensors, for a network of the known sizes."""
    (skeleton,) = teacher_skeleton({role: None}).values()
    with tempfile.TemporaryDirectory() as folder:
        skeleton.save_config(folder)
        return type(skeleton).from_single_file(state, config=folder, local_files_only=True, torch_dtype=dtype)


def _text_encoder(state: dict[str, Tensor]) -> Any:
    """The text encoder's names are those of transformers already, but for how deep they lie."""
    (network,) = teacher_skeleton({"text_encoder": None}).values()
    names = network.state_dict().keys()
    deep = any(name.startswith(_WORDS) for name in names)
    found = {}
    for name, tensor in state.items():
        bare = name.removeprefix(_PREFIXES["text_encoder"][0]).removeprefix(_WORDS)
        if not bare.endswith("position_ids"):  # counted anew
            found[_WORDS + bare if deep else bare] = tensor
    network.load_state_dict(found, assign=True, strict=True)
    return _counted(network)


def _counted(network: Any) -> Any:
    """Give a network that was built without numbers its one buffer that no file holds: the positions."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta and name == "position_ids":
                module.register_buffer(name, torch.arange(buffer.numel())[None], persistent=False)
    return network
