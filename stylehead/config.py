"""Everything a stylise job can be told, in one frozen dataclass that checks itself.

The command line reads its defaults and its help from here, the run manifest stores the JSON form, and the
profiles at the end are the named sets of switches: `default`, `paper` (the equations) and `release` (what the
authors' script really does, quirks included).
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import json
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stylehead.errors import UsageError
from stylehead.method_settings import METHOD_SETTINGS, PROFILES, PUBLISHED

Method = Literal["ld", "sds", "csd", "nada", "styleclip", "styleganfusion", "diffusiongan3d"]
Score = Literal["likelihood", "paper", "classifier", "sds"]
Stages = Literal["none", "single", "grid", "both"]
ProfileName = Literal["default", "paper", "release"]
DepthSource = Literal["auto", "rendered", "estimated", "none"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
Memory = Literal["auto", "24", "12", "8"]


@dataclass(frozen=True, kw_only=True)
class StylizeConfig:
    """Settings of one stylise job.

    Raises:
        UsageError: A value is out of range or of the wrong type; the message names the flag and the rule.
    """

    prompt: str
    """What every head shall become, in words."""
    method: Method = "ld"
    """Which system trains: ld (the paper's), its plain relatives sds and csd, or a rival of its table."""
    preset: str = "auto"
    """Which weights to work on: auto, mini or panohead."""
    seed: int = 0
    """Seed of every random choice of the run."""

    diffusion: str | None = None
    """Stable Diffusion 1.x model to learn from, a diffusers folder or hub id; else the preset's own."""
    controlnet_canny: str | None = None
    """Edge ControlNet, a folder or hub id; else the one that comes with the diffusion model or preset."""
    controlnet_depth: str | None = None
    """Depth ControlNet, likewise."""
    vae: str | None = None
    """Autoencoder, a folder or hub id; a tiny one (AutoencoderTiny, such as TAESD) is faster and coarser."""
    depth_estimator: str | None = None
    """Monocular depth network, a transformers folder or hub id such as Depth-Anything-V2."""
    clip: str | None = None
    """CLIP model for methods that ask one, a transformers folder or hub id; else the preset's encoder."""
    precision: Precision = "auto"
    """Numbers of text encoder, UNet and ControlNets; auto: fp16 on a GPU, else fp32. All else is fp32."""
    memory: Memory = "auto"
    """GPU gigabytes to fit in: less costs time, never quality; auto goes by what the device has."""
    iterations: int = 60
    """Number of optimiser steps."""
    time_budget_minutes: float | None = None
    """Stop after this many minutes even if iterations are left."""
    learning_rate: float = 4e-3
    """Adam's learning rate."""
    learning_rate_end: float = 0.1
    """Part of the learning rate that is left at the last step, along a cosine; 1 keeps it constant."""
    weight_average: float = 0.92
    """Part of the weights' running average that a step leaves; it is the result (0: the last weights)."""
    batch: int = 1
    """Identities drawn in every iteration."""
    views: int = 1
    """Single views of each identity in every iteration."""
    checkpoint_every: int = 100
    """Iterations between two checkpoints; 0 keeps only the last."""
    preview_every: int = 50
    """Iterations between two preview pictures; 0 draws none."""

    score: Score = "likelihood"
    """Score: likelihood (the paper's less its noise), paper, classifier (guidance difference) or sds."""
    cfg_scale: float = 7.5
    """Classifier-free guidance scale."""
    ddim_steps: int = 50
    """Number of DDIM steps that the step indices count."""
    step_range: tuple[int, int] = (28, 49)
    """First and last DDIM step index drawn for single views (49 is the least noise)."""
    grid_step_range: tuple[int, int] = (28, 49)
    """First and last DDIM step index drawn for the grid."""
    step_window: int = 7
    """Neighbouring steps drawn from at once, first the noisiest, at the end the cleanest; 0: always all."""
    alpha_lookup: Literal["timestep", "step_index"] = "timestep"
    """Where the noise level of the score is looked up; step_index repeats the released script's slip."""
    gradient_scale: float = 1e-3
    """Factor on the score before it enters the latent."""
    gradient_clamp: float = 1.0
    """Largest absolute value of a scaled score element."""
    posterior: Literal["mean", "sample"] = "mean"
    """Latent of a render: the mean of the VAE's posterior or a sample of it."""

    mirror: bool = True
    """Apply the flipped score to the mirrored view as well."""
    base_weight: float = 0.75
    """Weight of the score on the view it was estimated for; 1 when mirror is off."""
    mirror_weight: float = 0.25
    """Weight of the flipped score on the mirrored view."""
    grid: bool = True
    """Denoise four views of each identity together, tiled two by two."""
    grid_mode: Literal["before_sr", "after_sr"] = "before_sr"
    """Tile raw renders (before super-resolution) or final images (after it)."""
    grid_weight: float = 1.0
    """Weight of the score on the grid."""
    grid_mirror: bool = False
    """Apply the grid's score, every tile flipped in place, to the mirrored four views as well."""
    rank: Stages = "both"
    """Stages whose score is rank weighed: none, single, grid or both."""
    rank_weights: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)
    """Factors on the score's singular values, largest first."""
    rank_renormalise: bool = False
    """Give the rank-weighed score back the channel means and deviations it had before."""
    mask: Literal["none", "reference", "generator"] = "reference"
    """Whose alpha mask multiplies the score: none, the untouched generator's or the trained one's."""

    canny: bool = True
    """Condition single views on the edges of the untouched render."""
    canny_scale: float = 1.0
    """Strength of the edge ControlNet."""
    canny_channel: Literal["luma", "red"] = "luma"
    """Channel on which edges are found; the released script takes red."""
    depth: DepthSource = "auto"
    """Depth of the untouched renders that the grid is conditioned on; auto: estimated with an estimator."""
    depth_scale: float = 1.0
    """Strength of the depth ControlNet."""

    tweedie_weight: float = 1.0
    """Weight of the distance between a render and its one-step denoised picture."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual distance between a render and its one-step denoised picture."""
    relative_distance_weight: float = 0.0
    """Weight of keeping distances between identities' tri-grids as they were."""
    relative_distance_axis: Literal["channels", "planes"] = "channels"
    """Axis of the tri-grid norm; the released script reduces over the three planes."""
    relative_distance_floor: float = 0.05
    """Smallest reference distance that counts, as a fraction of the mean one."""
    relative_distance_limit: float = 10.0
    """Largest distance ratio that counts; 0 for no limit."""
    alpha_weight: float = 4.5
    """Weight of keeping the alpha mask of the untouched render (ours, not the paper's)."""
    latent_weight: float = 1.3
    """Weight of keeping the latent of the untouched render (ours, not the paper's)."""
    latent_colour: float = 0.0
    """How much a head's mean colour counts in that: 1 as much as its shape, 0 not at all."""

    source_prompt: str = "a photo of a person"
    """What every head is before, in words: the direction of nada goes from there to the prompt."""
    adaptive_layers: float = 0.67
    """Part of the layers that nada trains in an iteration, those that matter most then; 1 for all."""
    adaptive_heads: int = 2
    """Heads on which nada finds out which layers matter."""
    rms_rescale: bool = True
    """Scale predicted and drawn noise to the same size before rivals subtract them."""
    direction_weight: float = 0.5
    """Weight in styleganfusion of what the teacher says differently of the trained and untouched render."""
    reconstruction_weight: float = 0.0
    """Weight in diffusiongan3d of keeping what the teacher asks little of: for local edits, not styles."""
    clip_weight: float = 1.0
    """Weight in styleclip of the prompt."""
    offset_weight: float = 0.8
    """Weight in styleclip of keeping style vectors where they were."""
    identity_weight: float = 0.1
    """Weight in styleclip of keeping who is in the picture."""

    background: Literal["random", "white", "bare"] = "random"
    """Behind the head: a random plain colour, white, or bare (what the network shows there)."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Noise inputs of the generator."""
    ray_jitter: bool = False
    """Jitter the sample depths along every ray."""
    yaw_deg: float = 60.0
    """Single views look from yaw angles within plus or minus this."""
    grid_yaw_deg: float = 180.0
    """Grid views look from yaw angles within plus or minus this."""
    pitch_deg: float = 30.0
    """All views look from nominal pitch angles within plus or minus this."""
    conditioning_pitch_deg: float = 0.0
    """Nominal pitch of the camera that the mapping network is told (positive is below)."""
    psi: float = 0.75
    """Truncation of the latent: 1 draws every head, 0 only the average one."""
    psi_cutoff: int | None = None
    """Number of latent layers that are truncated; all when not given."""
    max_non_finite: int = 20
    """Stop after this many NaN steps in a row."""

    def __post_init__(self) -> None:
        _check_types(self)
        _check_numbers(self)
        _check_relations(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values (tuples become lists); `from_dict` takes them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    def to_json(self) -> str:
        """Return the JSON text of the settings; `from_json(to_json())` is equal to the original."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "StylizeConfig":
        """Build a config from JSON values.

        Raises:
            UsageError: A name is unknown (the nearest one is suggested), missing, or its value is invalid.
        """
        values = _renamed(values)
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise UsageError(
                    f"There is no setting `{name}`.", f"did you mean `{near[0]}`?" if near else None
                )
        if "prompt" not in values:
            raise UsageError("A stylise job needs `--prompt`.")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settings)

    @classmethod
    def from_json(cls, text: str) -> "StylizeConfig":
        """Build a config from the text that `to_json` wrote.

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

    def replace(self, **changes: Any) -> "StylizeConfig":
        """Return a copy with some settings changed, checked again."""
        return StylizeConfig.from_dict({**self.to_dict(), **changes})


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read older runs' settings: before `depth` named a source, `memory` a size; and fewer settings."""
    settings = dict(values)
    source = settings.pop("depth_source", "auto")
    if isinstance(settings.get("depth"), bool):
        settings["depth"] = source if settings["depth"] else "none"
    if settings.pop("save_memory", False):
        settings["memory"] = "12"
    missing = {field.name for field in dataclasses.fields(StylizeConfig)} - settings.keys()
    return {**_BEFORE, **settings} if missing <= _BEFORE.keys() else settings


_BEFORE = {"step_window": 0, "latent_colour": 1.0, "weight_average": 0.0}
"""What whole records that lack these settings ran with."""


@functools.cache
def setting_help() -> dict[str, str]:
    """Return the one-line description of every setting, in order of declaration.

    They are the attribute docstrings above, so that a switch is described in exactly one place.
    """
    tree = ast.parse(inspect.getsource(StylizeConfig))
    body = tree.body[0].body  # type: ignore[attr-defined]
    described = {}
    for statement, follower in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(follower, ast.Expr):
            described[statement.target.id] = ast.literal_eval(follower.value)  # type: ignore[union-attr]
    return described


# ------------------------------------------------------------------------------------------------ profiles


def profile(name: str = "default", *, method: Method = "ld") -> dict[str, Any]:
    """Return the settings in which a profile run with a method differs from the dataclass defaults.

    A rival's own published settings take the place of the paper's in `paper` and `release`. Use as
    `StylizeConfig(prompt=..., **(profile("paper") | changes))`.

    Raises:
        UsageError: There is no such profile or method.
    """
    for flag, value, known in (("--profile", name, PROFILES), ("--method", method, METHOD_SETTINGS)):
        if value not in known:
            raise UsageError(f"`{flag}` (={value}) must be one of {', '.join(known)}.")
    own = METHOD_SETTINGS[method]
    if method in PUBLISHED:
        return {**own, **(PUBLISHED[method] if name != "default" else {}), "method": method}
    return {**PROFILES[name], **own, "method": method}


# ------------------------------------------------------------------------------------------------ checking

_AT_LEAST: dict[str, float] = {
    "seed": 0, "iterations": 1, "batch": 1, "views": 1, "checkpoint_every": 0, "preview_every": 0,
    "cfg_scale": 0, "ddim_steps": 1, "base_weight": 0, "mirror_weight": 0, "grid_weight": 0,
    "canny_scale": 0, "depth_scale": 0, "tweedie_weight": 0, "perceptual_weight": 0,
    "relative_distance_weight": 0, "relative_distance_limit": 0, "alpha_weight": 0, "latent_weight": 0,
    "psi_cutoff": 0, "max_non_finite": 1, "step_window": 0, "adaptive_heads": 1, "direction_weight": 0,
    "reconstruction_weight": 0, "clip_weight": 0, "offset_weight": 0, "identity_weight": 0,
}  # fmt: skip
_ABOVE_ZERO = ("learning_rate", "gradient_scale", "gradient_clamp", "time_budget_minutes")
_BETWEEN: dict[str, tuple[float, float]] = {
    "learning_rate_end": (0, 1), "relative_distance_floor": (0, 1), "psi": (0, 1),
    "yaw_deg": (0, 180), "grid_yaw_deg": (0, 180), "pitch_deg": (0, 89), "conditioning_pitch_deg": (-89, 89),
    "ddim_steps": (1, 999), "seed": (0, 2**63 - 1), "adaptive_layers": (0, 1), "latent_colour": (0, 1),
    "weight_average": (0, 0.9999),
}  # fmt: skip


def flag(name: str) -> str:
    """Return the command-line spelling of a setting, for messages and for the command line itself."""
    return "--" + name.replace("_", "-")


def _fail(name: str, value: object, rule: str) -> None:
    raise UsageError(f"`{flag(name)}` (={value}) must be {rule}.")


@functools.cache
def _hints() -> dict[str, Any]:
    return get_type_hints(StylizeConfig)


def _check_types(config: StylizeConfig) -> None:
    for name, hint in _hints().items():
        value = getattr(config, name)
        if not _fits(value, hint):
            _fail(name, value, _describe(hint))


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type; whole numbers are fine where a float is asked for."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        wanted = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return len(value) == len(wanted) and all(map(_fits, value, wanted))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    """Say in words what a type wants."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return " or ".join("not given" if arg is type(None) else _describe(arg) for arg in args)
    if origin is tuple:
        return "numbers" if args[-1] is Ellipsis else f"{len(args)} whole numbers"
    return {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}[hint]


def _check_numbers(config: StylizeConfig) -> None:
    for name, low in _AT_LEAST.items():
        value = getattr(config, name)
        if value is not None and value < low:
            _fail(name, value, f"at least {low:g}")
    for name in _ABOVE_ZERO:
        value = getattr(config, name)
        if value is not None and value <= 0:
            _fail(name, value, "above 0")
    for name, (low, high) in _BETWEEN.items():
        value = getattr(config, name)
        if not low <= value <= high:
            _fail(name, value, f"between {low:g} and {high:g}")


def _check_relations(config: StylizeConfig) -> None:
    if not config.prompt.strip():
        _fail("prompt", repr(config.prompt), "some words, for example `Portrait of a werewolf`")
    if not config.source_prompt.strip():
        _fail("source_prompt", repr(config.source_prompt), "some words, for example `a photo of a person`")
    for name in ("step_range", "grid_step_range"):
        low, high = getattr(config, name)
        if not 0 <= low <= high < config.ddim_steps:
            _fail(name, f"{low} {high}", f"two step indices in order, from 0 to {config.ddim_steps - 1}")
    if not config.rank_weights or min(config.rank_weights) < 0:
        _fail("rank_weights", config.rank_weights, "one or more factors that are not negative")
    needed = METHOD_SETTINGS[config.method].get("score")
    if needed is not None and config.score != needed:
        _fail("score", config.score, f"{needed} with `--method {config.method}`")
    if config.mirror and config.base_weight + config.mirror_weight == 0:
        _fail("base_weight", config.base_weight, "above 0 when `--mirror-weight` is 0")
