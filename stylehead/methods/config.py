"""The settings that every method has, in a frozen dataclass that checks itself.

A method's own settings are a dataclass derived from `StylizeConfig`, in the method's file: new fields are its
own, and a field that it declares again has another default. The command line reads options, defaults and help
from that class, and the run manifest stores its flat JSON form.
"""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from stylehead.errors import UsageError
from stylehead.methods import registry
from stylehead.settings import (
    Count,
    Few,
    Guidance,
    Natural,
    Positive,
    Rate,
    Share,
    at_least,
    between,
    check_settings,
    flag,
    refuse,
    usually,
)

if TYPE_CHECKING:
    from stylehead.memory import MemoryTier

ProfileName = Literal["default", "paper", "release"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
Memory = Literal["auto", "24", "12", "8"]
PROFILES: tuple[ProfileName, ...] = ("default", "paper", "release")


@dataclass(frozen=True, kw_only=True)
class StylizeConfig:
    """What the trainer reads, whichever method it trains with.

    Not for use by itself: `StylizeConfig.from_dict({"prompt": ..., "method": ...})` builds the settings of a
    method, by default those of `registry.DEFAULT`.

    Raises:
        UsageError: A value is out of range or of the wrong type; the message names the flag and the rule.
    """

    method: ClassVar[str]
    """Name of the method that these settings are of."""
    former: ClassVar[Mapping[str, Any]] = {
        "weight_average": 0.0, "full_style": True, "generator_precision": "fp32", "reference_heads": 0,
    }  # fmt: skip
    """Fields that whole records of older versions lack, and the values that those ran with."""

    prompt: str
    """What every head is to become, in words."""
    preset: str = "auto"
    """Which weights to work on: auto, mini or panohead."""
    seed: Annotated[int, at_least(0), between(0, 2**63 - 1)] = 0
    """Seed of every random choice of the run."""
    memory: Memory = "auto"
    """GPU gigabytes to fit in: less costs time, never quality; auto goes by what the device has."""
    iterations: Annotated[Count, usually(1, 100_000)] = 60
    """Number of optimiser steps."""
    time_budget_minutes: Annotated[Positive, usually(0.01, 43_200)] | None = None
    """Stop after so many minutes, finished or not."""
    learning_rate: Rate = 4e-3
    """Adam's learning rate."""
    learning_rate_end: Share = 0.1
    """Part of the learning rate that is left at the last step, along a cosine; 1 keeps it constant."""
    weight_average: Annotated[float, between(0, 0.9999)] = 0.92
    """Part of the weights' running average that a step leaves; it is the result (0: the last weights)."""
    batch: Few = 1
    """Identities drawn in every iteration."""
    views: Few = 1
    """Single views of each identity in every iteration."""
    reference_heads: Natural = 0
    """Heads whose untouched renders are drawn once and kept, to come again and again; 0: always new ones."""
    generator_precision: Precision = "auto"
    """Numbers of the generator's convolutions in training; auto: fp16 on a GPU, else fp32."""
    checkpoint_every: Natural = 100
    """Iterations between two checkpoints; 0 keeps only the last."""
    preview_every: Natural = 50
    """Iterations between two previews; 0 draws none."""
    full_style: bool = False
    """Store the trained weights as they are in the style file, not the few numbers that pictures need."""

    background: Literal["random", "white", "bare"] = "random"
    """Behind the head: a random plain colour, white, or bare (what the network shows there)."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Noise inputs of the generator."""
    ray_jitter: bool = False
    """Jitter the sample depths along every ray."""
    yaw_deg: Annotated[float, between(0, 180)] = 60.0
    """Single views look from yaw angles within plus or minus this."""
    pitch_deg: Annotated[float, between(0, 89)] = 30.0
    """All views look from nominal pitch angles within plus or minus this."""
    conditioning_pitch_deg: Annotated[float, between(-89, 89)] = 0.0
    """Nominal pitch of the camera that conditions the mapping network (positive is below)."""
    psi: Share = 0.75
    """Truncation of the latent: 1 draws every head, 0 only the average one."""
    psi_cutoff: Natural | None = None
    """Number of latent layers that are truncated; all when not given."""
    max_non_finite: Count = 20
    """Stop after this many NaN steps in a row."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.prompt.strip():
            refuse("prompt", repr(self.prompt), "some words, for example `Portrait of a werewolf`")

    def source(self, role: str) -> str | None:
        """Return the folder or hub id that the user named for a frozen network; None: the preset's own.

        Args:
            role: `diffusion`, `controlnet_canny`, `controlnet_depth`, `vae`, `depth_estimator` or `clip`.
        """
        named: str | None = getattr(self, role, None)
        return named

    @property
    def bulk_precision(self) -> Precision:
        """Numbers of what takes most of the memory: here the generator's renders."""
        return self.generator_precision

    def tier(self, device: str, *, largest_image: int) -> "MemoryTier":
        """Return the memory tier that was asked for, or the first that fits into what is free on the device.

        Args:
            device: Where the job runs.
            largest_image: Edge in pixels of the largest picture that it makes or encodes.
        """
        from stylehead.memory import choose_tier, device_memory
        from stylehead.precision import choose_dtype

        return choose_tier(
            self.memory,
            device_bytes=device_memory(device),
            largest_image=largest_image,
            pictures=self.batch * (2 * self.views + 1) / 3,  # each view and its mirrored one, and a grid
            bytes_a_number=choose_dtype(self.bulk_precision, device).itemsize,
        )

    # ---------------------------------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values (tuples become lists); `from_dict` takes them back."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        return {"prompt": values.pop("prompt"), "method": self.method, **values}

    def to_json(self) -> str:
        """Return the JSON text of the settings; `from_json(to_json())` is equal to the original."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the settings of the method that the JSON values name, or of this class's method.

        Raises:
            UsageError: A name is unknown (the nearest one is suggested), missing, or its value is invalid.
        """
        method = str(values.get("method", getattr(cls, "method", registry.DEFAULT)))
        kind = registry.settings_class(method)
        if not issubclass(kind, cls):
            raise UsageError(f"`--method` (={method}) must be {cls.method} here.")
        settings = kind._read({name: value for name, value in values.items() if name != "method"})
        if "prompt" not in settings:
            raise UsageError("`stylize` needs `--prompt`.")
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return kind(**fields)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build settings from the text that `to_json` wrote.

        Raises:
            UsageError: The text is not a JSON object, or a value in it is invalid.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"The settings are not valid JSON: {error}.") from error
        if not isinstance(values, dict):
            raise UsageError("The settings are not a JSON object.")
        return cls.from_dict(values)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, checked again."""
        return self.from_dict({**self.to_dict(), **changes})

    @classmethod
    def renamed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return JSON values of older versions under today's names; a method with such names extends it."""
        if values.pop("save_memory", False):
            values["memory"] = "12"
        return values

    @classmethod
    def _read(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Check the names. Whole records of older versions held the settings of all methods: those go."""
        settings, known = cls.renamed(values), cls.names()
        whole = set(known) - settings.keys() <= cls.former.keys()
        for name in [name for name in settings if name not in known]:
            foreign = name in _names_of_others()
            if whole and foreign:
                del settings[name]
            elif foreign:
                raise UsageError(f"`{flag(name)}` says nothing to `--method {cls.method}`.")
            else:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else None
                raise UsageError(f"There is no setting `{name}`.", hint)
        return {**cls.former, **settings} if whole else settings

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all fields, in order."""
        return tuple(field.name for field in dataclasses.fields(cls))


def _names_of_others() -> set[str]:
    """Return the names of all settings that any method of this package has."""
    return {name for method in registry.BUILT_IN for name in registry.settings_class(method).names()}


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(StylizeConfig):
    """What every method has that learns from a diffusion model."""

    former: ClassVar[Mapping[str, Any]] = {
        **StylizeConfig.former, "step_window": 0, "lora": (), "vae_precision": "fp32", "compile": False,
    }  # fmt: skip

    diffusion: str | None = None
    """Stable Diffusion 1.x model: folder, file or hub id."""
    lora: tuple[str, ...] = ()
    """LoRA that is added to it, FILE or FILE:STRENGTH; repeatable."""
    vae: str | None = None
    """Autoencoder: folder, file or hub id; a tiny one (AutoencoderTiny, as TAESD) is faster and coarser."""
    precision: Precision = "auto"
    """Numbers of UNet, ControlNets, text and depth networks; auto: fp16 on a GPU, else fp32; bf16 errs 8x."""
    vae_precision: Precision = "auto"
    """Numbers of the autoencoder, likewise; small gradients are scaled up on their way through it."""
    compile: bool = False
    """Compile UNet, ControlNets and autoencoder (torch.compile): minutes once, then faster steps."""
    cfg_scale: Guidance = 7.5
    """Classifier-free guidance scale."""
    ddim_steps: Annotated[int, at_least(1), between(1, 999)] = 50
    """Number of DDIM steps that the step indices count."""
    step_range: tuple[int, int] = (28, 49)
    """First and last DDIM step index drawn for single views (49 is the least noise)."""
    step_window: Natural = 7
    """Neighbouring steps drawn from at once, first the noisiest, at the end the cleanest; 0: always all."""
    gradient_scale: Positive = 1e-3
    """Factor on the score before it enters the latent."""
    gradient_clamp: Positive = 1.0
    """Largest absolute value of a scaled score element."""
    posterior: Literal["mean", "sample"] = "mean"
    """Latent of a render: the mean of the VAE's posterior or a sample of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_steps("step_range")

    @property
    def bulk_precision(self) -> Precision:
        """Numbers of what takes most of the memory: the autoencoder, whose layers see whole pictures."""
        return self.vae_precision

    def check_steps(self, name: str) -> None:
        """Refuse a range of step indices that is not in order or not within the DDIM steps."""
        low, high = getattr(self, name)
        if not 0 <= low <= high < self.ddim_steps:
            refuse(name, f"{low} {high}", f"two step indices in order, from 0 to {self.ddim_steps - 1}")


@dataclass(frozen=True, kw_only=True)
class ImageTextSettings(StylizeConfig):
    """What every method has that compares pictures and texts."""

    clip: str | None = None
    """CLIP model for methods that need one, a transformers folder or hub id; else the preset's encoder."""


@dataclass(frozen=True, kw_only=True)
class BankSettings(StylizeConfig):
    """What every method has that learns from edited pictures of people: a bank, and who edits it."""

    bank: str | None = None
    """Bank of edited pictures, a folder; else one is made and filled at the beginning of the run."""
    people: Annotated[int, between(1, 9999)] = 40
    """People of the bank that the run makes."""
    bank_views: Annotated[int, between(1, 32)] = 4
    """Sides of each of them."""
    editor: str | None = None
    """Editor that fills the bank, a folder in diffusers layout; else the preset's InstructPix2Pix."""
    instruction: str | None = None
    """What the editor is told; else it is made of the prompt."""
    negative_prompt: str = ""
    """What the editor is to avoid."""
    text_scale: Guidance | None = None
    """How strongly the editor follows the instruction; else what suits the preset's editor."""
    picture_scale: Guidance | None = None
    """How strongly the editor keeps the picture, likewise."""
    edit_steps: Annotated[int, between(1, 1000)] = 10
    """Denoising steps of an InstructPix2Pix."""
    refresh: Annotated[int, between(0, 4)] = 0
    """How often the run edits its bank anew, started from what the generator draws by then."""
    refresh_noise: Share = 0.7
    """Noise level that such edits start at, of 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refresh and self.bank is not None:
            refuse("refresh", self.refresh, "0 with a bank that is not the run's own")

    def round_at(self, iteration: int) -> int:
        """Return how many times the bank was edited anew before an iteration: evenly spread over the run."""
        steps = [round(self.iterations * k / (self.refresh + 1)) for k in range(1, self.refresh + 1)]
        return sum(iteration >= step for step in steps)


def profile(
    name: str = "default", *, method: str = registry.DEFAULT, full_scale: bool = False
) -> dict[str, Any]:
    """Return the settings in which a profile of a method differs from the method's defaults.

    `default` differs at full scale only, where a method has defaults of its own. `paper` and `release` of a
    rival are both its own published settings. Use as
    `StylizeConfig.from_dict(profile("paper") | {"prompt": ...})`.

    Raises:
        UsageError: There is no such profile or method.
    """
    if name not in PROFILES:
        raise UsageError(f"`--profile` (={name}) must be one of {', '.join(PROFILES)}.")
    found = registry.method_class(method)
    own = found.full_scale if full_scale and name == "default" else {}
    return {**own, **found.profile(name), "method": method}
