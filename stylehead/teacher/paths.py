"""Where the networks of a teacher are."""

from dataclasses import dataclass
from pathlib import Path

from stylehead.files import read_json
from stylehead.teacher.lora import Lora
from stylehead.weights.pretrained import weight_files

CONTROL_KINDS = ("canny", "depth")
EDITING_CHANNELS = 8
"""What the UNet of an InstructPix2Pix takes: noised latents, and those of the picture."""


SHARED = "shared.json"
"""In the folder of a pipeline: the folders beside it that have what it lacks, `{"vae": "ip2p"}`."""


def part_of(base: Path, role: str) -> Path:
    """Return the place of a part of a pipeline: its own, or that of the pipeline beside it that it shares.

    Args:
        base: Folder of the pipeline.
        role: Such as `vae`, `text_encoder` or `tokenizer`.

    Raises:
        JobError: What says with whom it is shared is damaged.
    """
    own = base / role
    if own.is_dir() or not (base / SHARED).is_file():
        return own
    owner = str(read_json(base / SHARED).get(role, ""))
    beside = Path(owner).name == owner not in ("", "..")  # nowhere else
    return base.parent / owner / role if beside else own


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

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer is: the one that was named, else the pipeline's."""
        return part_of(self.base, "tokenizer") if self.tokenizer is None else self.tokenizer

    def networks(self) -> dict[str, Path]:
        """Return the place of every network that is loaded, by role: a folder, or a file."""
        parts = ("unet", "vae", "text_encoder")
        found = {role: self.base if self.single_file else part_of(self.base, role) for role in parts}
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
