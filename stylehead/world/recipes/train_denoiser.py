"""The embedded denoiser and both ControlNets, trained together on the editor's latents and words.

Edges or depth of the *photograph* steer the picture in any style: the distillation conditions on the
untouched head while it asks for a style, so that is what is learned here, from pairs of one person as
photograph (condition) and in the style (picture), seen by the same camera. A large denoiser is frozen while a
ControlNet learns, to keep what it knows; a small one learns faster when it is told what it shall draw.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.files import write_json
from stylehead.teacher.paths import SHARED
from stylehead.teacher.schedule import Schedule
from stylehead.world.recipes.computing import in_bfloat16
from stylehead.world.recipes.networks import (
    NoisyBatch,
    encode_captions,
    importance,
    latent_size,
    new_controlnet,
    new_unet,
    noisy_batch,
    trained,
)
from stylehead.world.recipes.pool import LatentPool, PoolItems, photo_conditions
from stylehead.world.recipes.training_pictures import PictureSource
from stylehead.world.recipes.warm_start import copy_pretrained

KINDS = ("canny", "depth")
_UNSTEERED_PART = 1 / 6


class Denoiser(nn.Module):
    """What is trained of the teacher, saved and averaged as one."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.unet = new_unet(size)
        self.controlnets = nn.ModuleDict({kind: new_controlnet(self.unet) for kind in KINDS})


class DenoiserRecipe:
    """Noise prediction; half of the noise levels are the low ones that distillation uses.

    Of each batch one part goes without a condition, one with edges, one with depth.

    Args:
        source: Pictures to learn from.
        folder: Of the editor: its autoencoder, text encoder and tokenizer are the teacher's, too.
        batch: Latents in a step.
        device: Where the networks are that are read.
    """

    name = "denoiser"
    learning_rate = 1e-3

    def __init__(
        self,
        source: PictureSource,
        folder: Path,
        *,
        batch: int = 24,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = device
        self.shared: dict[str, Any] = {
            "vae": trained(AutoencoderKL, folder / "vae", device),
            "text_encoder": trained(CLIPTextModel, folder / "text_encoder", device),
            "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        }
        torch.manual_seed(0)
        self.model: nn.Module = Denoiser(latent_size(self.shared["vae"]))
        self.pool = LatentPool(source, self.shared["vae"], photo_conditions)
        self.schedule = Schedule()
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """Of the denoiser and both ControlNets."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise; for the log also by condition, and at low noise."""
        assert isinstance(self.model, Denoiser)
        items = self.pool.draw(self.batch, rng)
        batch = noisy_batch(self.schedule, items.latents, items.captions, rng)
        parts = condition_parts(self.batch)
        with torch.no_grad():
            text = encode_captions(self.shared["tokenizer"], self.shared["text_encoder"], batch.captions)
        with in_bfloat16(self.device):
            down, mid = steering(self.model, batch, text, items, parts)
            eps = self.model.unet(
                batch.latents_t,
                batch.timestep,
                text,
                down_block_additional_residuals=down,
                mid_block_additional_residual=mid,
            ).sample
        errors = (eps.float() - batch.eps).square().mean(dim=(1, 2, 3))
        by_part = zip(("plain", *KINDS), errors.detach().split(parts), strict=True)
        values = {name: float(part.mean()) for name, part in by_part if len(part)}
        return (errors * importance(batch.timestep)).mean(), values

    def warm_start(self, folder: Path) -> bool:
        """The embedded networks, or the editor's; a ControlNet that is not there starts from the denoiser."""
        assert isinstance(self.model, Denoiser)
        teacher = folder / "teacher"
        found = copy_pretrained(self.model.unet, teacher / "unet", UNet2DConditionModel)
        found = found or copy_from_editor(self.model.unet, folder / "ip2p" / "unet")
        for kind, controlnet in self.model.controlnets.items():
            if not copy_pretrained(controlnet, teacher / f"controlnet_{kind}", ControlNetModel):
                controlnet.load_state_dict(new_controlnet(self.model.unet).state_dict())
        return found

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write what the teacher has of its own, weights in half precision, and whose the rest is."""
        assert isinstance(averaged, Denoiser)
        teacher = folder / "teacher"
        networks = {"unet": averaged.unet}
        networks |= {f"controlnet_{kind}": network for kind, network in averaged.controlnets.items()}
        for name, network in networks.items():
            copy.deepcopy(network).half().cpu().save_pretrained(teacher / name, safe_serialization=True)
        write_json(teacher / SHARED, dict.fromkeys(("vae", "text_encoder", "tokenizer"), "ip2p"))
        DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        ).save_pretrained(teacher / "scheduler")  # fmt: skip


def copy_from_editor(unet: nn.Module, folder: Path) -> bool:
    """Copy an editor's denoiser without the channels that look at a photograph.

    Now and then it was trained without one: these channels are zero then, and it denoises like any other.

    Returns:
        Whether there is one of the same shape.
    """
    if not folder.is_dir():
        return False
    editor = trained(UNet2DConditionModel, folder).state_dict()
    wanted = unet.state_dict()
    first = "conv_in.weight"
    editor[first] = editor[first][:, : wanted[first].shape[1]]
    if {name: tensor.shape for name, tensor in editor.items()} != {n: t.shape for n, t in wanted.items()}:
        return False
    unet.load_state_dict(editor)
    return True


def condition_parts(count: int) -> list[int]:
    """How many of the pictures of a batch have no condition, edges, depth."""
    plain = round(count * _UNSTEERED_PART)
    edges = (count - plain) // 2
    return [plain, edges, count - plain - edges]


def steering(
    model: Denoiser, batch: NoisyBatch, text: Tensor, items: PoolItems, parts: list[int]
) -> tuple[list[Tensor], Tensor]:
    """What the ControlNets add to the denoiser: nothing in the first part of a batch, then edges, then depth.

    Returns:
        Residuals of the encoder's levels and of the middle, as the denoiser takes them.
    """
    outputs = []
    start = parts[0]
    for kind, count in zip(KINDS, parts[1:], strict=True):
        rows = slice(start, start + count)
        down, mid = model.controlnets[kind](
            batch.latents_t[rows],
            batch.timestep[rows],
            text[rows],
            controlnet_cond=items.kept[kind][rows].to(batch.eps).div(255).expand(-1, 3, -1, -1).contiguous(),
            return_dict=False,
        )
        outputs.append([*down, mid])
        start += count
    merged = [_after_zeros(parts[0], level) for level in zip(*outputs, strict=True)]
    return merged[:-1], merged[-1]


def _after_zeros(count: int, level: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([level[0].new_zeros((count, *level[0].shape[1:])), *level])
