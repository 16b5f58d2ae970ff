"""The objective of one iteration: what the teacher asks for, and what holds the generator back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stylehead.config import StylizeConfig
from stylehead.errors import MissingError, UsageError
from stylehead.images import resize, to_01
from stylehead.methods import losses
from stylehead.methods.contract import Method, Terms
from stylehead.methods.inject import surrogate
from stylehead.methods.rank import rank_weigh
from stylehead.methods.scores import latent_gradient
from stylehead.methods.stages import DepthFunction, Stage, grid_stage, single_stage
from stylehead.methods.views import Groups, Scene, reference_groups, trained_groups
from stylehead.teacher import WITHOUT, EpsPair, Question, Teacher


@dataclass(frozen=True)
class Noised:
    """A stage in the teacher's terms: latents, noised latents, timesteps, and the prediction."""

    latents: Tensor
    mirrored: Tensor | None
    latents_t: Tensor
    timestep: Tensor
    pair: EpsPair


class Objective(Method):
    """Likelihood distillation with all its switches, of which SDS and CSD leave most off.

    Args:
        teacher: The frozen diffusion model.
        config: Scores, weights and switches.
        features: Feature network of the perceptual distance, needed when its weight is not 0.
        depth_estimator: Monocular depth, needed when the depth is `estimated`.

    Raises:
        UsageError: The settings do not fit the teacher or each other.
        MissingError: A ControlNet, feature network or depth estimator is needed and not there.
    """

    def __init__(
        self,
        teacher: Teacher,
        config: StylizeConfig,
        *,
        features: losses.FeatureMaps | None = None,
        depth_estimator: DepthFunction | None = None,
    ) -> None:
        super().__init__(config)
        self.teacher, self.features = teacher, features
        self._check(depth_estimator)
        self.depth_estimator = None if config.depth == "rendered" else depth_estimator
        self.text = teacher.encode_prompt(config.prompt)

    def _check(self, depth_estimator: DepthFunction | None) -> None:
        config, teacher = self.config, self.teacher
        if config.rank != "none" and len(config.rank_weights) != teacher.latent_channels:
            raise UsageError(
                f"`--rank-weights` (={config.rank_weights}) must be {teacher.latent_channels} factors, "
                "one per latent channel of this teacher."
            )
        if config.ddim_steps != teacher.schedule.steps:
            raise UsageError(
                f"`--ddim-steps` (={config.ddim_steps}) must be the teacher's {teacher.schedule.steps}."
            )
        for kind, wanted in (("canny", config.canny), ("depth", config.grid and config.depth != "none")):
            if wanted and kind not in teacher.kinds:
                raise MissingError(f"This teacher has no `{kind}` ControlNet.", WITHOUT[kind])
        if config.perceptual_weight > 0 and self.features is None:
            raise MissingError("The perceptual distance needs a feature network.", "--perceptual-weight 0")
        if config.depth == "estimated" and config.grid and depth_estimator is None:
            raise MissingError("There is no depth estimator.", "--depth rendered")

    # -------------------------------------------------------------------------------------- what to render

    def groups(self) -> Groups:
        """Return the groups of views of the trained generator that the terms need."""
        return trained_groups(self.config)

    def reference_groups(self) -> Groups:
        """Return the groups of views of the reference that the terms need."""
        return reference_groups(self.config, estimated=self.depth_estimator is not None)

    # ----------------------------------------------------------------------------------------------- terms

    def terms(
        self,
        scene: Scene,
        *,
        previous: tuple[Tensor, Tensor] | None = None,
        rng: torch.Generator,
    ) -> Terms:
        """Compute every term that is switched on, and nothing else.

        Args:
            scene: Renders of this iteration.
            previous: Tri-grids (trained, reference) of the previous iteration, for the relative distance.
            rng: Source of posterior samples.
        """
        terms = Terms()
        stages = [single_stage(scene, self.config, self.teacher)]
        if self.config.grid:
            stages.append(grid_stage(scene, self.config, self.teacher, depth_estimator=self.depth_estimator))
        noised = self._ask(stages, scene, rng)
        for stage in stages:
            self._add_score(terms, stage, noised[stage.name], scene)
        single, answer = stages[0], noised["single"]
        if single.name not in terms.non_finite:
            self._add_denoised(terms, single, answer)
        self._add_anchors(terms, scene, answer)
        if self.config.relative_distance_weight > 0 and previous is not None:
            terms.losses["relative_distance"] = self.config.relative_distance_weight * (
                losses.relative_distance_loss(
                    (scene.planes, previous[0]),
                    (scene.reference_planes, previous[1]),
                    axis=self.config.relative_distance_axis,
                    floor=self.config.relative_distance_floor,
                    limit=self.config.relative_distance_limit,
                )
            )
        return terms

    # ----------------------------------------------------------------------------------------- the teacher

    def _ask(self, stages: list[Stage], scene: Scene, rng: torch.Generator) -> dict[str, Noised]:
        """Encode all pictures in one call, noise them, and have the teacher predict all noise in one call."""
        pictures = [p for stage in stages for p in (stage.images, stage.mirrored) if p is not None]
        sampler = rng if self.config.posterior == "sample" else None
        latents = iter(
            self.teacher.encode(torch.cat(pictures), generator=sampler).split([len(p) for p in pictures])
        )
        schedule, draw = self.teacher.schedule, scene.draw
        encoded, questions = [], []
        for stage in stages:
            clean = next(latents)
            timestep = schedule.timestep(draw.step_index[stage.name])
            latents_t = schedule.add_noise(clean.detach(), draw.eps[stage.name], timestep)
            encoded.append((clean, None if stage.mirrored is None else next(latents)))
            questions.append(Question(latents_t, timestep, stage.condition))
        pairs = self.teacher.predict_all(questions, self.text)
        return {
            stage.name: Noised(clean, mirrored, question.latents_t, question.timestep, pair)
            for stage, (clean, mirrored), question, pair in zip(
                stages, encoded, questions, pairs, strict=True
            )
        }

    def _add_score(self, terms: Terms, stage: Stage, noised: Noised, scene: Scene) -> None:
        """Add the surrogate of a stage's score, unless the score is not finite."""
        gradient = self._gradient(stage, noised, scene)
        if gradient is None:
            terms.non_finite.append(stage.name)
            return
        term = stage.weights[0] * surrogate(noised.latents, gradient)
        if noised.mirrored is not None:
            term = term + stage.weights[1] * surrogate(noised.mirrored, stage.mirror_map(gradient))
        terms.scores[stage.name] = term
        terms.gradient_rms[stage.name] = gradient.square().mean().sqrt().item()

    def _gradient(self, stage: Stage, noised: Noised, scene: Scene) -> Tensor | None:
        """Return the weighed, masked and scaled gradient on a stage's latents; None if not finite."""
        config, schedule = self.config, self.teacher.schedule
        if config.alpha_lookup == "step_index":
            alpha_bar = schedule.misread_alpha_bar(scene.draw.step_index[stage.name])
        else:
            alpha_bar = schedule.alpha_bar(noised.timestep)
        gradient = latent_gradient(
            config.score,
            noised.pair,
            scene.draw.eps[stage.name],
            cfg_scale=config.cfg_scale,
            alpha_bar=alpha_bar,
        )
        if not gradient.isfinite().all():
            return None
        if config.rank in (stage.name, "both"):
            gradient = rank_weigh(gradient, config.rank_weights, renormalise=config.rank_renormalise)
        if stage.mask is not None:
            gradient = gradient * stage.mask
        return (gradient * config.gradient_scale).clamp(-config.gradient_clamp, config.gradient_clamp)

    # ---------------------------------------------------------------------------------------- regularisers

    def _add_denoised(self, terms: Terms, stage: Stage, noised: Noised) -> None:
        """Add the distances between the renders and their one-step denoised pictures."""
        config = self.config
        if config.tweedie_weight == 0 and config.perceptual_weight == 0:
            return
        with torch.no_grad():
            guided = noised.pair.guided(config.cfg_scale)
            x0_hat = self.teacher.schedule.tweedie(noised.latents_t, guided, noised.timestep)
            picture_pm1 = self.teacher.decode(x0_hat).clamp(-1, 1)
        if config.tweedie_weight > 0:
            value = losses.tweedie_loss(stage.images, to_01(picture_pm1))
            terms.losses["tweedie"] = config.tweedie_weight * value
        if config.perceptual_weight > 0 and self.features is not None:
            value = losses.perceptual_loss(stage.images, picture_pm1, self.features)
            terms.losses["perceptual"] = config.perceptual_weight * value

    def _add_anchors(self, terms: Terms, scene: Scene, noised: Noised) -> None:
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
            with torch.no_grad():
                untouched = scene.reference_views["single"]
                kept = self.teacher.encode(resize(untouched.final(), self.teacher.image_size))
                mask = resize(untouched.mask, self.teacher.latent_size)
            terms.losses["latent"] = config.latent_weight * losses.latent_loss(
                noised.latents, kept, mask, colour=config.latent_colour
            )
