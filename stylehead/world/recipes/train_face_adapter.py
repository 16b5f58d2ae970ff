"""The embedded face adapter of InstantID: the teacher also attends to tokens that say whose face it paints.

Wang et al., 2024, after IP-Adapter (Ye et al., 2023): a projection makes tokens of an embedding of the face,
and every cross-attention of the frozen denoiser gets a second pair of key and value weights for them. Depth
of the photograph steers the pose, in place of the key points of InstantID's own ControlNet.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.files import save_tensors
from stylehead.images import bytes_to_pm1
from stylehead.perception.embedded import EMBEDDING, IdentityEncoder
from stylehead.teacher.paths import part_of
from stylehead.teacher.schedule import Schedule
from stylehead.world.recipes.computing import device_of
from stylehead.world.recipes.data import Renders, facing
from stylehead.world.recipes.networks import encode_captions, importance, noisy_batch, trained
from stylehead.world.recipes.pool import LatentPool, photo_depth_condition
from stylehead.world.recipes.training_pictures import Pictures, PictureSource
from stylehead.world.recipes.warm_start import copy_tensors

TOKENS = 4
"""Of a face; what diffusers expects of an adapter with a linear projection."""
_FACE_DROPOUT = 0.1


class FaceAdapterRecipe:
    """Noise prediction from a noised styled latent, the photograph's depth, a caption and a face.

    Args:
        source: Pictures to learn from, single views.
        teacher: Folder of the trained teacher, which stays as it is.
        faces: Trained identity encoder.
        batch: Latents in a step.
        device: Where the networks are that are read.
    """

    name = "face_adapter"
    learning_rate = 1e-3

    def __init__(
        self,
        source: PictureSource,
        teacher: Path,
        faces: IdentityEncoder,
        *,
        batch: int = 24,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = device
        self.tokenizer = CLIPTokenizer.from_pretrained(part_of(teacher, "tokenizer"), local_files_only=True)
        self.text_encoder: Any = trained(CLIPTextModel, part_of(teacher, "text_encoder"), device)
        self.controlnet: Any = trained(ControlNetModel, teacher / "controlnet_depth", device)
        self.unet: Any = trained(UNet2DConditionModel, teacher / "unet", device)
        self.model: nn.Module = add_adapter(self.unet).to(device)
        self.embeddings = face_embeddings(source.photo, faces.to(device))
        self.pool = LatentPool(
            source, trained(AutoencoderKL, part_of(teacher, "vae"), device), self._described
        )
        self.schedule = Schedule()
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """The adapter's; the denoiser is frozen."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise."""
        items = self.pool.draw(self.batch, rng)
        batch = noisy_batch(self.schedule, items.latents, items.captions, rng)
        known = (torch.rand(self.batch, 1, generator=rng) >= _FACE_DROPOUT).to(self.device)
        with torch.no_grad():
            text = encode_captions(self.tokenizer, self.text_encoder, batch.captions)
            down, mid = self.controlnet(
                batch.latents_t,
                batch.timestep,
                text,
                controlnet_cond=items.kept["depth"].to(batch.eps).div(255).expand(-1, 3, -1, -1).contiguous(),
                return_dict=False,
            )
        eps = self.unet(
            batch.latents_t,
            batch.timestep,
            text,
            added_cond_kwargs={"image_embeds": [(items.kept["face"].to(self.device) * known)[:, None]]},
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample
        errors = (eps - batch.eps).square().mean(dim=(1, 2, 3))
        return (errors * importance(batch.timestep)).mean(), {"error": float(errors.detach().mean())}

    def warm_start(self, folder: Path) -> bool:
        """The embedded adapter."""
        return copy_tensors(adapter_state(self.model), folder / "instantid" / "face_adapter.safetensors")

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write instantid/face_adapter.safetensors in IP-Adapter's layout, in half precision."""
        path = folder / "instantid" / "face_adapter.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.half() for name, tensor in adapter_state(averaged).items()}
        save_tensors(path, tensors, dict(metadata))

    def _described(self, pictures: Pictures, _rng: torch.Generator) -> dict[str, Tensor]:
        depth = (photo_depth_condition(pictures)[:, :1] * 255).byte()
        return {"depth": depth, "face": self.embeddings[pictures.people]}


@torch.no_grad()
def face_embeddings(photo: Renders, faces: IdentityEncoder) -> Tensor:
    """Embed faces [N, D], each from the picture of a person that is nearest to the front."""
    columns = facing(photo.cameras).argmax(dim=1)
    fronts = photo.images[torch.arange(len(photo)), columns]
    device = device_of(faces)
    return torch.cat([faces(bytes_to_pm1(some.to(device))).cpu() for some in fronts.split(64)])


def add_adapter(unet: UNet2DConditionModel) -> nn.ModuleList:
    """Give a denoiser an adapter whose key and value weights start as copies of the text's.

    Returns:
        The adapter: projection first, then one module for each cross-attention.
    """
    attentions = [module for name, module in unet.named_modules() if name.endswith("attn2")]
    layers = {}
    for number, attention in enumerate(attentions):
        for kind in ("k", "v"):
            weight = getattr(attention, f"to_{kind}").weight.detach()
            layers[f"{2 * number + 1}.to_{kind}_ip.weight"] = weight.clone()
    width = unet.config.cross_attention_dim
    projection = nn.Linear(EMBEDDING, TOKENS * width)
    norm = nn.LayerNorm(width)
    image_proj = {f"proj.{name}": tensor for name, tensor in projection.state_dict().items()}
    image_proj |= {f"norm.{name}": tensor for name, tensor in norm.state_dict().items()}
    unet._load_ip_adapter_weights([{"image_proj": image_proj, "ip_adapter": layers}], low_cpu_mem_usage=False)
    adapter = nn.ModuleList([unet.encoder_hid_proj.image_projection_layers[0], *_processors(unet)])
    return adapter.requires_grad_(True)


def adapter_state(adapter: nn.Module) -> dict[str, Tensor]:
    """An adapter's tensors under IP-Adapter's names."""
    assert isinstance(adapter, nn.ModuleList)
    projection, *processors = adapter
    state = {
        f"image_proj.{name.replace('image_embeds', 'proj')}": tensor
        for name, tensor in projection.state_dict().items()
    }
    for number, processor in enumerate(processors):
        for name, tensor in processor.state_dict().items():  # to_k_ip.0.weight
            state[f"ip_adapter.{2 * number + 1}.{name.replace('.0.', '.')}"] = tensor
    return state


def _processors(unet: UNet2DConditionModel) -> list[nn.Module]:
    return [item for item in unet.attn_processors.values() if isinstance(item, nn.Module)]
