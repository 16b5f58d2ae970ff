"""InstantID (Wang et al., 2024) at the embedded size: a face adapter beside the prompt, on every view.

Wired with what diffusers has: `load_ip_adapter` for the tokens of the face, a ControlNet for the pose. The
face is embedded once, from the front. The pose comes from rendered depth; the key-point ControlNet of the
published system, and its SDXL, have no embedded counterpart.
"""

from pathlib import Path
from typing import Any, Self

import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
from torch import Tensor

from stylehead.errors import JobError
from stylehead.evaluation.baselines.embedded_pipeline import build_pipeline
from stylehead.evaluation.portraits import Portraits
from stylehead.images import bytes_to_pm1
from stylehead.perception.embedded import IdentityEncoder
from stylehead.teacher import depth_condition
from stylehead.teacher.editing.editor import same_noise
from stylehead.weights.pretrained import load_local

ADAPTER = "face_adapter.safetensors"
STEPS = 20
GUIDANCE = 5.0
POSE_SCALE, FACE_SCALE = 0.8, 0.8
"""Guidance and weights of pose and face: the authors' numbers."""


class InstantID:
    """Paints a prompt over a person's pose, told whose face it is.

    Args:
        pipeline: Of diffusers, with a depth ControlNet and a face adapter.
        faces: Embeds faces as the adapter learned it.
        steps: Of its scheduler.
    """

    def __init__(
        self, pipeline: StableDiffusionControlNetPipeline, faces: IdentityEncoder, *, steps: int = STEPS
    ) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline: Any = pipeline
        self._faces = faces
        self._steps = steps
        self._latent_size = int(pipeline.unet.config.sample_size)
        self._size = self._latent_size * int(pipeline.vae_scale_factor)

    @classmethod
    def embedded(cls, teacher: Path, folder: Path, faces: Path, *, device: str = "cpu") -> Self:
        """The embedded one: the teacher with an adapter.

        Raises:
            StyleheadError: A network is missing or damaged.
        """
        pipeline = build_pipeline(
            StableDiffusionControlNetPipeline,
            teacher,
            device,
            unet=(UNet2DConditionModel, teacher / "unet"),
            controlnet=(ControlNetModel, teacher / "controlnet_depth"),
        )
        load_local(
            pipeline.load_ip_adapter,
            folder,
            subfolder="",
            weight_name=ADAPTER,
            image_encoder_folder=None,
            low_cpu_mem_usage=False,
        )
        pipeline.set_ip_adapter_scale(FACE_SCALE)
        return cls(pipeline, IdentityEncoder.load(faces).to(device))

    @torch.no_grad()
    def edit(self, person: Portraits, prompt: str) -> Tensor:
        """Return the painted views [V, 3, R, R] in 0..1 of a person.

        Raises:
            JobError: Depth of the views is not known, or none of them is from the front.
        """
        if person.depths is None or person.masks is None:
            raise JobError("InstantID needs the depth of the views.")
        views = len(person.yaws_deg)
        pipeline = self._pipeline
        front = min(range(views), key=lambda view: abs(person.yaws_deg[view]))
        face = self._faces(bytes_to_pm1(person.images[0, [front]]).to(pipeline.device))
        tokens = torch.stack([torch.zeros_like(face), face]).expand(
            -1, views, -1
        )  # without the face, with it
        pose = depth_condition(person.depths[0], person.masks[0], size=self._size)
        painted: Tensor = pipeline(
            [prompt] * views,
            image=pose.to(pipeline.device),
            ip_adapter_image_embeds=[tokens.flatten(0, 1)[:, None]],
            num_inference_steps=self._steps,
            guidance_scale=GUIDANCE,
            controlnet_conditioning_scale=POSE_SCALE,
            latents=same_noise(
                views, pipeline.vae.config.latent_channels, self._latent_size, seed=person.seeds[0]
            ).to(pipeline.device),
            output_type="pt",
        ).images
        return painted.float().cpu()
