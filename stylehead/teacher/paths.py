"""Where the networks of a teacher are."""

from dataclasses import dataclass
from pathlib import Path

from stylehead.teacher.lora import Lora
from stylehead.weights.pretrained import weight_files

CONTROL_KINDS = ("canny", "depth")
EDITING_CHANNELS = 8
"""What the UNet of an InstructPix2Pix takes: noised latents, and those of the picture."""


@dataclass(frozen=True)
class TeacherPaths:
    """Where the networks of a teacher are.

    Args:
        base: Folder with `vae/ unet/ text_encoder/ tokenizer/ scheduler/`, any Stable Diffusion 1.x pipeline;
            or a single file of one.
        controlnet_canny: Folder or file of the edge ControlNet; `base/controlnet_canny` is used if there.
        controlnet_depth: Folder or file of the depth ControlNet; `base/controlnet_depth` is used if there.
        vae: Folder or file of another VAE than the one in `base` (some are published without one), or folder
            of a tiny one (`AutoencoderTiny`).
        tokenizer: Folder of the tokenizer; `base/tokenizer` when not given.
        loras: Added to UNet and text encoder, in this order.
        edits: It is a model that edits pictures, and asked as such.
    """

    base: Path
    controlnet_canny: Path | None = None
    controlnet_depth: Path | None = None
    vae: Path | None = None
    tokenizer: Path | None = None
    loras: tuple[Lora, ...] = ()
    edits: bool = False

    @property
    def single_file(self) -> bool:
        """Whether the teacher is one file, and not a folder of networks."""
        return self.base.is_file()

    def controlnet(self, kind: str) -> Path | None:
        """Return the place of a ControlNet, or None if this teacher has none of that kind."""
        given: Path | None = getattr(self, f"controlnet_{kind}")
        inside = self.base / f"controlnet_{kind}"
        return given if given is not None else inside if inside.is_dir() else None

    def networks(self) -> dict[str, Path]:
        """Return the place of every network that is loaded, by role: a folder, or a file."""
        parts = ("unet", "vae", "text_encoder")
        found = {role: self.base if self.single_file else self.base / role for role in parts}
        if self.vae is not None:
            found["vae"] = self.vae
        controlnets = {f"controlnet_{kind}": self.controlnet(kind) for kind in CONTROL_KINDS}
        return found | {role: place for role, place in controlnets.items() if place is not None}

    def weight_files(self) -> dict[str, Path]:
        """Return every weight file that is read, as `role/name`; those that are not there are left out."""
        found = {}
        for role, place in self.networks().items():
            if place.is_file():
                found[f"{'checkpoint' if place == self.base else role}/{place.name}"] = place
            else:
                found |= {f"{role}/{path.name}": path for path in weight_files(place)}
        loras = {f"lora_{i}/{lora.path.name}": lora.path for i, lora in enumerate(self.loras, start=1)}
        return found | loras
