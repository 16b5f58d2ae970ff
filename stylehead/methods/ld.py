"""LD, likelihood distillation with mirrored, gridded and rank-weighed scores (arXiv 2411.13536).

The generator G of weights theta follows the gradient of log p(x_t | y), y being the prompt: a mean over heads
w, cameras pi, noises eps and timesteps t. An iteration, in its order, with letters that are ours:

    draw     w, pi, eps, t                                               by the trainer: `draws.py`
    render   G(w, pi) and G(w, M pi), and the untouched head             by the trainer: `scene.py`
    encode   x_0 = E(G(w, pi)) and x_0' = E(G(w, M pi))                  M the mirror
    noise    (N)  x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps
    predict  (S)  eps_hat = eps_phi(x_t; null) + s (eps_phi(x_t; y) - eps_phi(x_t; null))
    score    (LD) g = sqrt(abar_t) eps_hat / sqrt(1 - abar_t)            = - dx_t/dx_0 grad log p(x_t | y)
    weigh    (R)  g <- U diag(r sigma) V^T  where  g = U diag(sigma) V^T   channels by pixels
    mirror   (M)  grad_theta = b g dx_0/dtheta + m M(g) dx_0'/dtheta     b and m the weights of both views
    grid     (G)  encode to mirror once more, x_0 being of four views of one head, tiled
    inject   grad_theta goes to theta by way of a surrogate loss         `ask.surrogate`

The letters stand beside the lines of `terms` that do so. Beside the paper's are the control variate of
`scores.py`, which subtracts from (LD) what has mean zero, the two anchors, and the sliding noise levels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from stylehead.errors import UsageError
from stylehead.images import resize, to_01
from stylehead.methods import losses
from stylehead.methods.ask import Distillation
from stylehead.methods.config import TeacherSettings
from stylehead.methods.contract import Needs, Networks, Terms
from stylehead.methods.draws import Sampling
from stylehead.methods.losses import RelativeDistanceSettings, relative_distance, remembered
from stylehead.methods.qualities import Timing
from stylehead.methods.registry import Variant
from stylehead.methods.scene import Groups, Scene
from stylehead.methods.scores import Score, latent_gradient, rank_weigh
from stylehead.methods.stages import Stage, grid_stage, single_stage
from stylehead.settings import Positive, Share, Weight, between, refuse
from stylehead.teacher import EpsPair, NoisyLatents

Stages = Literal["none", "single", "grid", "both"]


@dataclass(frozen=True, kw_only=True)
class LdSettings(TeacherSettings, RelativeDistanceSettings):
    """Settings of LD; the defaults are what measured best on the embedded world."""

    former: ClassVar[Mapping[str, Any]] = {
        **TeacherSettings.former, "latent_colour": 1.0, "canny_bytes": "rounded", "score_limit": None,
        "teacher": "text", "picture_scale": None,
    }  # fmt: skip

    teacher: Literal["text", "edit"] = "text"
    """Whose score: a model of texts with ControlNets, or an editor that sees the untouched render."""
    picture_scale: Weight | None = None
    """How strongly such an editor keeps the picture; else what suits it."""
    controlnet_canny: str | None = None
    """Edge ControlNet, a folder or hub id; else the one that comes with the diffusion model or preset."""
    controlnet_depth: str | None = None
    """Depth ControlNet, likewise."""
    depth_estimator: str | None = None
    """Monocular depth network, a transformers folder or hub id such as Depth-Anything-V2."""

    score: Score = "likelihood"
    """Score: likelihood (the paper's less its noise), paper, classifier (guidance difference) or sds."""
    score_limit: Positive | None = None
    """Largest weight sqrt(abar / (1 - abar)) of the scores likelihood and paper: it is 24 at timestep 1."""
    grid_step_range: tuple[int, int] = (28, 49)
    """First and last DDIM step index drawn for the grid."""
    alpha_lookup: Literal["timestep", "step_index"] = "timestep"
    """Where the noise level of the score is looked up; step_index repeats the released script's slip."""

    mirror: bool = True
    """Apply the flipped score to the mirrored view as well."""
    base_weight: Weight = 0.75
    """Weight of the score on the view it was estimated for; 1 when mirror is off."""
    mirror_weight: Weight = 0.25
    """Weight of the flipped score on the mirrored view."""
    grid: bool = True
    """Denoise four views of each identity together, tiled two by two."""
    grid_mode: Literal["before_sr", "after_sr"] = "before_sr"
    """Tile raw renders (before super-resolution) or final images (after it)."""
    grid_weight: Weight = 1.0
    """Weight of the score on the grid."""
    grid_mirror: bool = False
    """Apply the grid's score, every tile flipped in place, to the mirrored four views as well."""
    grid_yaw_deg: Annotated[float, between(0, 180)] = 180.0
    """Grid views look from yaw angles within plus or minus this."""
    rank: Stages = "both"
    """Stages whose score is rank weighed: none, single, grid or both."""
    rank_weights: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)
    """Factors on the score's singular values, largest first."""
    rank_renormalise: bool = False
    """Give the rank-weighed score back the channel means and deviations it had before."""
    mask: Literal["none", "reference", "generator", "mixed"] = "reference"
    """Whose alpha mask multiplies the score; mixed, as released: the trained one's for single views only."""

    canny: bool = True
    """Condition single views on the edges of the untouched render."""
    canny_scale: Weight = 1.0
    """Strength of the edge ControlNet."""
    canny_channel: Literal["luma", "red"] = "luma"
    """Channel on which edges are found; the released script takes red."""
    canny_bytes: Literal["rounded", "truncated"] = "rounded"
    """How grey values become bytes for the edges; the released script truncates."""
    depth: Literal["auto", "rendered", "estimated", "none"] = "auto"
    """Depth of the untouched renders that the grid is conditioned on; auto: estimated with an estimator."""
    depth_scale: Weight = 1.0
    """Strength of the depth ControlNet."""

    tweedie_weight: Weight = 1.0
    """Weight of the distance between a render and its one-step denoised picture."""
    perceptual_weight: Weight = 0.0
    """Weight of the perceptual distance between a render and its one-step denoised picture."""
    alpha_weight: Weight = 4.5
    """Weight of keeping the alpha mask of the untouched render (ours, not the paper's)."""
    latent_weight: Weight = 1.3
    """Weight of keeping the latent of the untouched render (ours, not the paper's)."""
    latent_colour: Share = 0.0
    """How much a head's mean colour counts in that: 1 as much as its shape, 0 not at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_steps("grid_step_range")
        if not self.rank_weights or not all(0 <= weight <= 1000 for weight in self.rank_weights):
            refuse("rank_weights", self.rank_weights, "one or more factors between 0 and 1000")
        if self.mirror and self.base_weight + self.mirror_weight == 0:
            refuse("base_weight", self.base_weight, "above 0 when `--mirror-weight` is 0")

    @classmethod
    def renamed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Read records from before `depth` named a source."""
        source = values.pop("depth_source", "auto")
        if isinstance(values.get("depth"), bool):
            values["depth"] = source if values["depth"] else "none"
        return super().renamed(values)


_PUBLISHED: dict[str, Any] = {
    "iterations": 10_000, "learning_rate": 1e-4, "learning_rate_end": 1.0, "weight_average": 0.0,
    "checkpoint_every": 250, "preview_every": 250,
    "cfg_scale": 7.5, "step_range": (35, 49), "grid_step_range": (35, 49), "step_window": 0,
    "tweedie_weight": 0.1, "perceptual_weight": 0.05, "relative_distance_weight": 1.0,
    "alpha_weight": 0.0, "latent_weight": 0.0,
    "background": "bare", "conditioning_pitch_deg": math.degrees(0.2),
}  # fmt: skip
PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        **_PUBLISHED, "score": "paper", "rank": "both", "rank_renormalise": False,
        "base_weight": 1.0, "mirror_weight": 1.0,
        "relative_distance_floor": 0.0, "relative_distance_limit": 0.0,
    },
    "release": {
        **_PUBLISHED, "score": "classifier", "alpha_lookup": "step_index", "posterior": "sample",
        "rank": "single", "rank_renormalise": True, "mask": "mixed",
        "canny_channel": "red", "canny_bytes": "truncated",
        "relative_distance_axis": "planes", "relative_distance_floor": 0.0, "relative_distance_limit": 0.0,
        "noise_mode": "random", "ray_jitter": True,
    },
}  # fmt: skip
"""The equations, and the authors' script with its quirks, as differences from the defaults.

What the equations leave open is the script's in both: budget, guidance, noise levels, the weights of the
regularisers, the camera of the mapping network. What the script does and `release` does not: it draws the
backbone's noise anew in each of its 16 renders (here once for each head and network), and it runs the
autoencoder in half precision.
"""

FULL_SCALE: dict[str, Any] = {
    "iterations": 10_000, "learning_rate": 1e-4, "weight_average": 0.998,
    "checkpoint_every": 250, "preview_every": 250,
    "step_range": (35, 49), "grid_step_range": (35, 49), "step_window": 5, "score_limit": 1.0,
    "tweedie_weight": 0.1, "conditioning_pitch_deg": math.degrees(0.2),
}  # fmt: skip
"""The defaults for the published generator and Stable Diffusion: computed, not measured.

Steps, rate, noise levels, the one-step estimate's weight and the mapping network's camera are those of
paper and script, which were chosen for these networks. The weight's limit makes it as flat as the script's,
lest the last noise level be all of the gradient. The window and the average cover the same parts of range
and run as in the embedded world. The anchors keep their weights: the score is a sum over four times as many
latents, at about a fifth of the weight, so that its balance with them stays what was measured there.
"""

PAPER_TERMS: dict[str, object] = {
    "score": "paper", "step_range": (35, 49), "grid_step_range": (35, 49), "step_window": 0,
    "tweedie_weight": 0.1, "relative_distance_weight": 1.0, "alpha_weight": 0.0, "latent_weight": 0.0,
}  # fmt: skip
"""The paper's terms, but for LPIPS, which has no network; budget, guidance, backgrounds as in all rows."""

EDITED: dict[str, object] = {"teacher": "edit", "cfg_scale": 3.0, "grid": False}
"""With an editor's score: its own guidance, and no grids, of which it has seen none."""

_PLAIN: dict[str, object] = {"mirror": False, "grid": False, "rank": "none"}
_SDS: dict[str, object] = {"score": "sds", "gradient_scale": 6.1e-3}  # 6.1: as large as (LD)'s over 60 steps
ABLATION: Mapping[str, Mapping[str, object]] = {
    "SDS": {**_PLAIN, **_SDS, "canny": False},
    "SDS + ControlNet": {**_PLAIN, **_SDS},
    "LD + ControlNet": _PLAIN,
    "+ rank weighing": {"mirror": False, "grid": False},
    "+ grid after SR": {"mirror": False, "grid_mode": "after_sr"},
    "+ grid before SR": {"mirror": False},
    "+ mirror (ours)": {},
}
"""The ladder of the paper's ablation: changes to the default settings, all else and gradients' size equal."""


class LikelihoodDistillation(Distillation[LdSettings]):
    """Likelihood distillation with all its switches.

    Raises:
        UsageError: The settings do not fit the teacher or each other.
        MissingError: A ControlNet, feature network or depth estimator is needed and not there.
    """

    name, title = "ld", "LD (the paper)"
    ablation = ABLATION
    pace: ClassVar[Timing | None] = Timing(step=0.82)
    full_scale: ClassVar[Mapping[str, Any]] = FULL_SCALE

    def __init__(self, config: LdSettings, networks: Networks) -> None:
        super().__init__(config, networks)
        self.features = networks.features
        self.depth_estimator = None if config.depth == "rendered" else networks.depth_estimator
        if config.rank != "none" and len(config.rank_weights) != self.teacher.latent_channels:
            raise UsageError(
                f"`--rank-weights` (={config.rank_weights}) must be {self.teacher.latent_channels} factors, "
                "one per latent channel of this teacher."
            )

    # ------------------------------------------------------------------------------------- one iteration

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Compute every term that is switched on, and nothing else: the file's text from encode to inject."""
        config, terms, draw = self.config, Terms(), scene.draw
        stages = [single_stage(scene, config, self.teacher)]
        if config.grid:  # (G)
            stages.append(grid_stage(scene, config, self.teacher, depth_estimator=self.depth_estimator))
        latents = self._encode(stages, rng)  # x_0, and x_0' behind the name of its stage
        noisy = [
            self.noise(latents[of.name], draw.eps[of.name], draw.step_index[of.name], of.condition)  # (N)
            for of in stages
        ]
        pairs = self.predict(noisy)  # (S)
        for stage, x_t, pair in zip(stages, noisy, pairs, strict=True):
            score, finite = self._score(stage, x_t, pair, scene)  # (LD)
            if config.rank in (stage.name, "both"):
                score = rank_weigh(score, config.rank_weights, renormalise=config.rank_renormalise)  # (R)
            gradient = self.scaled(score if stage.mask is None else score * stage.mask)  # on the head alone
            parts = [(stage.weights[0], latents[stage.name], gradient)]  # (M), b g dx_0
            if stage.mirrored is not None:
                flipped = stage.mirror_map(gradient)
                parts.append((stage.weights[1], latents[f"{stage.name}_mirrored"], flipped))  # m M(g) dx_0'
            self.inject(terms, stage.name, gradient, parts, finite=finite)  # autograd has dx_0/dtheta
        self._add_denoised(terms, stages[0], noisy[0], pairs[0])
        self._add_anchors(terms, scene, latents["single"])
        distance = relative_distance(config, scene, self.carried)
        self.carried = remembered(config, scene)
        if distance is not None:
            terms.losses["relative_distance"] = config.relative_distance_weight * distance
        return terms

    def _encode(self, stages: list[Stage], rng: torch.Generator) -> dict[str, Tensor]:
        """Encode all pictures in one call: latents [N, C, h, w] by stage, `_mirrored` behind its name."""
        pictures = {}
        for stage in stages:
            pictures[stage.name] = stage.images
            if stage.mirrored is not None:
                pictures[f"{stage.name}_mirrored"] = stage.mirrored
        return dict(zip(pictures, self.encode(list(pictures.values()), rng), strict=True))

    def _score(self, stage: Stage, x_t: NoisyLatents, pair: EpsPair, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return the score on a stage's latents, zeros if it is not finite, and whether it is."""
        config, schedule, draw = self.config, self.teacher.schedule, scene.draw
        if config.alpha_lookup == "step_index":
            alpha_bar = schedule.misread_alpha_bar(draw.step_index[stage.name])
        else:
            alpha_bar = schedule.alpha_bar(x_t.timestep)
        eps, limit, scale = draw.eps[stage.name], config.score_limit, config.cfg_scale
        score = latent_gradient(config.score, pair, eps, cfg_scale=scale, alpha_bar=alpha_bar, limit=limit)
        finite = self.finite([score])
        return torch.where(finite, score, 0.0), finite

    # ---------------------------------------------------------------------------------------- regularisers

    def _add_denoised(self, terms: Terms, stage: Stage, x_t: NoisyLatents, pair: EpsPair) -> None:
        """Add the distances between the renders and their one-step denoised pictures."""
        config = self.config
        if config.tweedie_weight == 0 and config.perceptual_weight == 0:
            return
        with torch.no_grad():
            x0_hat = self.teacher.schedule.tweedie(x_t.latents_t, pair.guided(config.cfg_scale), x_t.timestep)
            picture_pm1 = self.teacher.decode(x0_hat).clamp(-1, 1)
            picture_pm1 = torch.where(terms.finite[stage.name], picture_pm1, 0.0)
        if config.tweedie_weight > 0:
            value = losses.tweedie_loss(stage.images, to_01(picture_pm1))
            terms.add_predicted(stage.name, "tweedie", config.tweedie_weight * value)
        if config.perceptual_weight > 0 and self.features is not None:
            value = losses.perceptual_loss(stage.images, picture_pm1, self.features)
            terms.add_predicted(stage.name, "perceptual", config.perceptual_weight * value)

    def _add_anchors(self, terms: Terms, scene: Scene, latents: Tensor) -> None:
        """Add the terms that hold masks and latents to those of the reference."""
        config = self.config
        if config.alpha_weight > 0:
            values = [
                losses.alpha_loss(scene.views[name].mask, scene.reference_views[name].mask)
                for name in ("single", "grid")
                if name in scene.views
            ]
            terms.losses["alpha"] = config.alpha_weight * torch.stack(values).mean()
        if config.latent_weight > 0:
            untouched, size = scene.reference_views["single"], self.teacher.image_size
            encode = torch.no_grad()(self.teacher.encode)
            kept = scene.once("latents", lambda: encode(resize(untouched.final(), size)))
            mask = resize(untouched.mask, self.teacher.latent_size)
            terms.losses["latent"] = config.latent_weight * losses.latent_loss(
                latents, kept, mask, colour=config.latent_colour
            )

    # -------------------------------------------------------------------------------------- what is rendered

    @property
    def sampling(self) -> Sampling:
        """The step indices of both stages and the grid's cameras."""
        config = self.config
        return Sampling(config.step_range, config.grid_step_range, config.step_window, config.grid_yaw_deg)

    def groups(self) -> Groups:
        """Return single views, grids, and the mirrored of both, as they are switched on."""
        config, final = self.config, self.config.grid_mode == "after_sr"
        mirrored = config.mirror_weight > 0
        wanted = {
            "single": (True, True),
            "single_mirrored": (config.mirror and mirrored, True),
            "grid": (config.grid, final),
            "grid_mirrored": (config.grid and config.grid_mirror and mirrored, final),
        }
        return {name: final for name, (on, final) in wanted.items() if on}

    def reference_groups(self) -> Groups:
        """Return the untouched views that conditions, masks and anchors are made from."""
        config = self.config
        depth = config.grid and config.depth != "none"
        anchored = config.alpha_weight > 0
        single = config.mask == "reference" or anchored
        grid = config.mask in ("reference", "mixed") or anchored
        seen = config.teacher == "edit"
        final_single = config.canny or config.latent_weight > 0 or seen
        wanted = {
            "single": (single or final_single, final_single),
            "grid": (
                config.grid and (grid or depth or seen),
                (depth and self.depth_estimator is not None) or (seen and config.grid_mode == "after_sr"),
            ),
        }
        return {name: final for name, (on, final) in wanted.items() if on}

    # ------------------------------------------------------------------------ what it needs, rows in tables

    @classmethod
    def needed(cls, config: LdSettings) -> Needs:
        """Return the teacher, its ControlNets as they are switched on, and encoders of images."""
        if config.teacher == "edit":
            return Needs(teacher=True, editing=True, features=config.perceptual_weight > 0)
        depth = config.grid and config.depth != "none"
        estimated = depth and config.depth != "rendered"
        return Needs(
            teacher=True,
            controls=(*(("canny",) if config.canny else ()), *(("depth",) if depth else ())),
            depth_estimator=("required" if config.depth == "estimated" else "optional")
            if estimated
            else "no",
            features=config.perceptual_weight > 0,
        )

    @classmethod
    def profile(cls, name: str) -> dict[str, Any]:
        """Return in what a profile differs from the defaults."""
        return dict(PROFILES[name])

    @classmethod
    def variants(cls) -> tuple[Variant, ...]:
        """Return the paper's own row, that of the defaults, which have anchors of ours, and the editor's."""
        return (
            Variant(cls.name, cls.title, PAPER_TERMS),
            Variant("stylehead", "stylehead (ours)"),
            Variant("ld_edit", "LD with the editor", EDITED, step=0.37),
        )

    @classmethod
    def variant_of(cls, config: LdSettings) -> str:
        """Return `ld_edit` for a run with an editor's score, `stylehead` for one with our anchors."""
        if config.teacher == "edit":
            return "ld_edit"
        return "stylehead" if config.latent_weight or config.alpha_weight else cls.name
