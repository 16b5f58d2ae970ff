"""The named sets of settings: profiles, and what each system of the table changes, asks for and looks at.

Two settings of every rival: the fair one, with the budget, the cameras and the noise levels that the paper's
method has here (profile `default`), and the published one, with the numbers of its authors (profiles `paper`
and `release`). In both, cameras are those of the paper's method, as the rivals knew no heads from all sides.
"""

import math
from typing import Any

PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "iterations": 10_000, "learning_rate": 1e-4, "learning_rate_end": 1.0, "weight_average": 0.0,
        "checkpoint_every": 250, "preview_every": 250,
        "cfg_scale": 7.5, "step_range": (35, 49), "grid_step_range": (35, 49), "step_window": 0,
        "score": "paper", "rank": "both", "rank_renormalise": False,
        "canny_channel": "red",
        "tweedie_weight": 0.1, "perceptual_weight": 0.05,
        "relative_distance_weight": 1.0,
        "alpha_weight": 0.0, "latent_weight": 0.0,
        "background": "bare", "conditioning_pitch_deg": math.degrees(0.2),
    },
    "release": {
        "iterations": 10_000, "learning_rate": 1e-4, "learning_rate_end": 1.0, "weight_average": 0.0,
        "checkpoint_every": 250, "preview_every": 250,
        "cfg_scale": 7.5, "step_range": (35, 49), "grid_step_range": (35, 49), "step_window": 0,
        "score": "classifier", "alpha_lookup": "step_index", "posterior": "sample",
        "rank": "single", "rank_renormalise": True,
        "mask": "generator", "canny_channel": "red",
        "tweedie_weight": 0.1, "perceptual_weight": 0.05,
        "relative_distance_weight": 1.0, "relative_distance_axis": "planes",
        "relative_distance_floor": 0.0, "relative_distance_limit": 0.0,
        "alpha_weight": 0.0, "latent_weight": 0.0,
        "background": "bare", "noise_mode": "random", "ray_jitter": True,
        "conditioning_pitch_deg": math.degrees(0.2),
    },
}  # fmt: skip
"""The named sets of settings of LD, as differences from the defaults."""

_BASELINE: dict[str, Any] = {
    "mirror": False, "grid": False, "rank": "none",
    "tweedie_weight": 0.0, "perceptual_weight": 0.0, "relative_distance_weight": 0.0,
    "alpha_weight": 0.0, "latent_weight": 0.0,
}  # fmt: skip
_DREAMFUSION: dict[str, Any] = {
    **_BASELINE, "score": "sds", "cfg_scale": 100.0, "step_range": (1, 48), "step_window": 0,
}  # fmt: skip
_RIVAL: dict[str, Any] = {
    **_BASELINE, "canny": False, "depth": "none", "mask": "none", "learning_rate_end": 1.0,
}  # fmt: skip

_FUSION: dict[str, Any] = {
    **_RIVAL, "score": "sds", "cfg_scale": 100.0, "step_range": (25, 48), "step_window": 0,
    "learning_rate": 0.0008, "gradient_scale": 0.01, "gradient_clamp": 0.01,
}  # fmt: skip
"""What StyleGAN-Fusion does with EG3D: t from 10 to 500, gradients held within 1 and divided by 100."""

METHOD_SETTINGS: dict[str, dict[str, Any]] = {
    "ld": {},
    "sds": _DREAMFUSION,
    "csd": {**_BASELINE, "score": "classifier"},
    "nada": {**_RIVAL, "learning_rate": 0.0016},
    "styleclip": {**_RIVAL, "learning_rate": 0.5},  # small, as its layers learn at 0.01 of it
    "styleganfusion": {**_FUSION, "perceptual_weight": 20.0},
    "diffusiongan3d": {**_FUSION, "relative_distance_weight": 1.0},  # nothing else is published
}
"""What a method changes in the profile it is run with."""

PUBLISHED: dict[str, dict[str, Any]] = {
    "nada": {"iterations": 600, "batch": 2, "psi": 1.0, "adaptive_heads": 8},
    "styleclip": {"iterations": 50_000, "batch": 2},
    "styleganfusion": {"iterations": 5001},
    "diffusiongan3d": {"iterations": 5000},  # ours: not published
}
"""What a rival's authors did beyond that, for the profiles `paper` and `release`."""

METHOD_MODELS: dict[str, tuple[str, ...]] = {
    "ld": ("teacher",),
    "sds": ("teacher",),
    "csd": ("teacher",),
    "nada": ("image_text",),
    "styleclip": ("image_text", "faces"),
    "styleganfusion": ("teacher",),
    "diffusiongan3d": ("teacher",),
}
"""Which frozen networks a method asks, beside the untouched generator."""

# ------------------------------------------------------------------------------------- what is looked at

_EVERYBODY = {
    "prompt", "method", "preset", "seed", "iterations", "time_budget_minutes", "learning_rate",
    "learning_rate_end", "weight_average", "batch", "views", "checkpoint_every", "preview_every", "memory",
    "background",
    "noise_mode", "ray_jitter", "yaw_deg", "pitch_deg", "conditioning_pitch_deg", "psi", "psi_cutoff",
    "max_non_finite",
}  # fmt: skip
_TEACHER = {
    "diffusion", "vae", "precision", "score", "cfg_scale", "ddim_steps", "step_range", "step_window",
    "gradient_scale", "gradient_clamp", "posterior", "rms_rescale",
}  # fmt: skip
_RIVALS: dict[str, set[str]] = {
    "nada": {"clip", "source_prompt", "adaptive_layers", "adaptive_heads"},
    "styleclip": {"clip", "clip_weight", "offset_weight", "identity_weight"},
    "styleganfusion": {*_TEACHER, "direction_weight", "perceptual_weight"},
    "diffusiongan3d": {
        *_TEACHER,
        "reconstruction_weight",
        "relative_distance_weight",
        "relative_distance_axis",
        "relative_distance_floor",
        "relative_distance_limit",
    },
}
_ONLY_RIVALS = {
    "clip", "source_prompt", "adaptive_layers", "adaptive_heads", "rms_rescale", "direction_weight",
    "reconstruction_weight", "clip_weight", "offset_weight", "identity_weight",
}  # fmt: skip


def uses(method: str, setting: str) -> bool:
    """Whether a method looks at a setting: LD and its ablations at all but those made for rivals."""
    if method in _RIVALS:
        return setting in _EVERYBODY | _RIVALS[method]
    return setting not in _ONLY_RIVALS
