"""The stylise job: moves a generator towards a prompt, one optimiser step at a time."""

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

import torch

from stylehead.errors import JobError, MemoryShortError, UsageError
from stylehead.generator import PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.methods.average import WeightAverage
from stylehead.methods.config import StylizeConfig
from stylehead.methods.contract import Cast, Method, Networks, Terms
from stylehead.methods.draws import Draw, draw_inputs
from stylehead.methods.kept import KeptHeads
from stylehead.methods.parallel import Crew
from stylehead.methods.records import Clock, Progress, RunSummary, StepRecord
from stylehead.methods.registry import method_class
from stylehead.methods.resuming import for_this, restore
from stylehead.methods.scene import Scene, Untouched, render_groups
from stylehead.precision import choose_dtype, computing_in, halves
from stylehead.settings import flag

LATENT_CHANNELS = 4
"""What a latent of Stable Diffusion has: noise of its shape is drawn even for methods without a teacher,
so that every method sees the same heads from the same sides."""

MAY_CHANGE_ON_RESUME = (
    "iterations",
    "time_budget_minutes",
    "checkpoint_every",
    "preview_every",
    "memory",
    "max_non_finite",
    "full_style",
)


class Stylizer:
    """Trains a generator towards a prompt while a frozen copy keeps it honest.

    The generator is changed in place: what the method trains (for most: backbone synthesis and
    super-resolution without biases) learns, everything else is frozen. What is handed over is the weights'
    running average, see `averaged`: single steps follow single heads. Two runs with equal arguments on a CPU
    are equal, bit for bit.

    Args:
        generator: The network to train.
        reference: The untouched copy (another object); frozen here.
        config: All settings.
        networks: The other frozen networks, as far as the method needs them; see its `needs`.
        method: The method, built from these settings; by default the one that they are of.

    Raises:
        UsageError: The settings do not fit the models, or the method was built from others.
        MissingError: A ControlNet or network that the settings need is not there.
    """

    def __init__(
        self,
        generator: PanoHead,
        reference: PanoHead,
        config: StylizeConfig,
        networks: Networks = Networks(),  # noqa: B008, an immutable default
        *,
        method: Method[Any] | None = None,
    ) -> None:
        if generator is reference:
            raise UsageError("The generator and its untouched reference must be two objects.")
        if method is not None and method.config != config:
            raise UsageError("The method was built from other settings than these.")
        self.generator, self.reference, self.config = generator.eval(), reference.eval(), config
        self.method: Method[Any] = method or method_class(config.method)(config, networks)
        self.teacher = networks.teacher
        self._latent_fraction = networks.latent_fraction
        generator.requires_grad_(False)
        reference.requires_grad_(False)
        self.trained = self.method.trained(generator)
        for parameter in self.trained.values():
            parameter.requires_grad_(True)
        self.device = next(generator.parameters()).device
        self.optimizer = torch.optim.Adam(
            self.trained.values(),
            lr=config.learning_rate,
            betas=self.method.betas,
            fused=self.device.type == "cuda",
        )
        self._dtype = choose_dtype(config.generator_precision, self.device.type)
        self._kept: dict[int, KeptHeads] = {}
        if config.reference_heads and type(self.method).cast is not Method.cast:
            raise UsageError(f"`--reference-heads` says nothing to `--method {config.method}`.")
        seen = 0 if self.teacher is None else self.teacher.image_size
        largest = max(generator.config.img_resolution, seen)
        self.memory = config.tier(str(self.device), largest_image=largest)
        if self.teacher is not None:
            self.teacher.save_memory(self.memory)
            if getattr(config, "compile", False):
                self.teacher.compile()
        self.choices = torch.Generator().manual_seed(config.seed)
        on_paper = self.device.type == "meta"  # where random numbers are made, but not looked at
        self.noise = torch.Generator("cpu" if on_paper else self.device).manual_seed(config.seed)
        self._camera = conditioning_camera(torch.pi * config.conditioning_pitch_deg / 180).to(self.device)
        self.moved = False
        """It was resumed from a snapshot of another kind of device; see `load_state_dict`."""
        self.widened_at: int | None = None
        """The iteration whose gradients half precision could not hold: the next ones compute in single."""
        self.crew = Crew()
        """The processes that train together; one that is joined is put here before the first step."""
        self._progress = Progress()
        self._average = WeightAverage(self.trained, config.weight_average)

    @property
    def iteration(self) -> int:
        """Number of iterations done."""
        return self._progress.iteration

    @property
    def stalled(self) -> bool:
        """Whether it is over before its last iteration, as nothing improves."""
        return self._progress.stalled(self.method.patience)

    # ------------------------------------------------------------------------------------------- running

    def run(self, on_step: Callable[[StepRecord], None] | None = None) -> RunSummary:
        """Train until the iterations or the time are used up.

        Args:
            on_step: Called after every iteration, for progress, previews and checkpoints; its time counts.

        Raises:
            JobError: Too many iterations in a row had values that are not finite.
            MemoryShortError: The machine ran out of memory.
        """
        for record in self:
            if on_step is not None:
                on_step(record)
        done = self.iteration >= self.config.iterations
        early: Literal["no_improvement", "time_budget"] = "no_improvement" if self.stalled else "time_budget"
        return RunSummary(
            iterations=self.iteration,
            elapsed_s=self._progress.elapsed_s,
            non_finite_steps=self._progress.non_finite_steps,
            ended_by="iterations" if done else early,
        )

    def __iter__(self) -> Iterator[StepRecord]:
        """Yield one record per iteration until the iterations or the time are used up."""
        budget = self.config.time_budget_minutes
        earlier, start = self._progress.elapsed_s, time.perf_counter()
        while self.iteration < self.config.iterations and not self.crew.leads(self.stalled):
            if budget is not None and self.crew.leads(self._progress.elapsed_s >= budget * 60):
                return
            record = self.step()
            self._progress.elapsed_s = earlier + time.perf_counter() - start
            yield record
            self._progress.elapsed_s = earlier + time.perf_counter() - start

    def step(self) -> StepRecord:
        """Do one iteration: draw, render, compute the terms, and update the weights.

        Raises:
            JobError: Too many iterations in a row had values that are not finite.
            MemoryShortError: The machine ran out of memory.
        """
        clock = Clock()
        try:
            with computing_in(self._dtype, *halves(self.generator, self.reference)):
                record = self._iterate(clock)
        except torch.OutOfMemoryError as error:
            hint = "--memory 8, or --batch 1 --views 1 --no-grid"
            raise MemoryShortError(f"Memory ran out in iteration {self.iteration + 1}.", hint) from error
        record = self._count(record, seconds=clock.seconds)
        if self._dtype == torch.float16 and not record.parameter_gradient < math.inf:
            # A finite loss can have gradients beyond 65504: the published relative distance has no floor.
            self._dtype, self.widened_at = torch.float32, record.iteration
        return record

    def _iterate(self, clock: Clock) -> StepRecord:
        self._choose_updated()
        noise = self.crew.noise(self.noise, self.config.seed + self.iteration)
        draw = self._draw()
        scene = self._render(draw, noise)
        clock.mark("render")
        terms = self.method.terms(scene, rng=noise)
        clock.mark("teacher")
        record = self._descend(draw, terms)
        self._average.update(self.iteration)
        clock.mark("backward")
        return record

    def _choose_updated(self) -> None:
        """Switch gradients on for what moves in this iteration, and off for the rest."""
        updated = self.method.updated(self.generator, self.reference, rng=self.noise)
        for name, parameter in self.trained.items():
            parameter.requires_grad_(updated is None or name in updated)

    def _draw(self) -> Draw:
        """Draw the inputs of an iteration: new heads, or some that come again and again."""
        draw, heads = self._draw_by(self.choices), self.config.reference_heads
        if heads:
            index = int(torch.randint(heads, (), generator=self.choices))
            kept = self._kept.setdefault(index, KeptHeads(self.config.seed, index, self.device))
            draw = kept.instead(draw, self._draw_by(kept.choices))
        return self.crew.part(draw).to(self.device)

    def _draw_by(self, rng: torch.Generator) -> Draw:
        return draw_inputs(
            self.config,
            self.method.sampling,
            z_dim=self.generator.config.z_dim,
            latent_shape=self._latent_shape(),
            rng=rng,
            progress=self._share_done(),
        )

    def _latent_shape(self) -> tuple[int, int, int]:
        if self.teacher is None:
            size = self.generator.config.img_resolution // self._latent_fraction
            return (LATENT_CHANNELS, size, size)
        return (self.teacher.latent_channels, self.teacher.latent_size, self.teacher.latent_size)

    def _render(self, draw: Draw, noise: torch.Generator | None = None) -> Scene:
        """Render the same heads from the same sides, trained (with gradients) and untouched."""
        noise = noise or self.noise
        config, one_view = self.config, self.memory.recompute_renders
        cast = self.method.cast(rng=self.choices)
        if cast is not None:
            cast = self.method.narrowed(cast, self.crew.own(config.batch))
            draw = dataclasses.replace(draw, labels={**draw.labels, "single": cast.labels.to(self.device)})
        kept = None if draw.again is None else self._kept[draw.again]
        if kept is None:
            untouched = self._render_untouched(draw, cast, noise)
        else:
            untouched = kept.once("untouched", lambda: self._render_untouched(draw, None, kept.noise))
        ws = untouched.ws
        planes = self.generator.planes(ws, noise_mode=config.noise_mode, rng=noise, recompute=one_view)
        views = render_groups(
            self.generator, planes, ws, draw, config,
            groups=self.method.groups(), rng=noise, one_view=one_view,
        )  # fmt: skip
        edited = self.generator.edited(ws)
        return Scene(draw, views, untouched.views, planes, untouched.planes, ws, edited, kept)

    @torch.no_grad()
    def _render_untouched(self, draw: Draw, cast: Cast | None, rng: torch.Generator) -> Untouched:
        config = self.config
        ws = self._mapped(draw) if cast is None else cast.ws.to(self.device)
        planes = self.reference.planes(ws, noise_mode=config.noise_mode, rng=rng)
        views = render_groups(
            self.reference, planes, ws, draw, config,
            groups=self.method.reference_groups(), rng=rng, one_view=self.memory.recompute_renders,
        )  # fmt: skip
        return Untouched(ws, planes, views)

    def _mapped(self, draw: Draw) -> torch.Tensor:
        """Map random vectors to style vectors [K, num_ws, w_dim]."""
        psi, cutoff = self.config.psi, self.config.psi_cutoff
        return self.reference.mapping(draw.z, self._camera, truncation_psi=psi, truncation_cutoff=cutoff)

    def _descend(self, draw: Draw, terms: Terms) -> StepRecord:
        """Update the weights if the gradient is usable, and return the numbers of the iteration."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = [*terms.scores.values(), *terms.losses.values()]
        if parts:
            torch.stack(parts).sum().backward()
        record = StepRecord.read(draw, terms, self._norm())
        if self.crew.size > 1:
            moving = [parameter for parameter in self.trained.values() if parameter.requires_grad]
            usable = self.crew.settle(moving, self.noise, usable=record.usable)
            norm = float(self._norm()) if usable else math.inf
            record = dataclasses.replace(record, parameter_gradient=norm)
        if record.usable:
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate()
            self.optimizer.step()
        return record

    def _norm(self) -> torch.Tensor:
        """Return the Euclidean norm of the gradient on all trained parameters."""
        gradients = [parameter.grad for parameter in self.trained.values() if parameter.grad is not None]
        return torch.nn.utils.get_total_norm(gradients).to(self.device)  # of none, it is elsewhere

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Let the generator draw with the average of the trained weights, which is what a job hands over."""
        return self._average.applied()

    def _learning_rate(self) -> float:
        """Half a cosine from the full rate down to the part of it that the settings leave at the end."""
        left = self.config.learning_rate_end
        return self.config.learning_rate * (
            left + (1 - left) * 0.5 * (1 + math.cos(math.pi * self._share_done()))
        )

    def _share_done(self) -> float:
        """Return how many of the iterations are over, 0..1."""
        return min(1.0, self.iteration / self.config.iterations)

    def _count(self, record: StepRecord, *, seconds: dict[str, float]) -> StepRecord:
        """Count the iteration and complete its record; give up after too many bad ones in a row."""
        progress = self._progress
        progress.iteration += 1
        progress.elapsed_s += sum(seconds.values())
        bad = (*record.non_finite, *(() if record.usable else ("step",)))
        if record.usable:
            progress.note_loss(sum(record.losses.values()))
        progress.non_finite_steps += bool(bad)
        progress.non_finite_in_row = progress.non_finite_in_row + 1 if bad else 0
        if progress.non_finite_in_row >= self.config.max_non_finite:
            raise JobError(
                f"{progress.non_finite_in_row} iterations in a row were not finite ({', '.join(bad)}).",
                f"--learning-rate {self.config.learning_rate / 2:g}",
            )
        return dataclasses.replace(
            record,
            iteration=progress.iteration,
            non_finite=bad,
            seconds=seconds,
            elapsed_s=progress.elapsed_s,
        )

    # ------------------------------------------------------------------------------------------- resuming

    def start_from(self, weights: Mapping[str, torch.Tensor], *, iteration: int) -> None:
        """Go on from trained weights alone: with a new optimiser, and draws that were not made before.

        Args:
            weights: Trained tensors by name; those that are missing stay as they are.
            iteration: How many iterations they took.
        """
        with torch.no_grad():
            for name, tensor in self.trained.items():
                tensor.copy_(weights.get(name, tensor))
                self._average.tensors[name].copy_(tensor)
        self._progress = Progress(iteration=iteration)
        for rng in (self.choices, self.noise):
            rng.manual_seed(self.config.seed + iteration)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resume needs: nested dicts of tensors and plain values, a snapshot.

        `weights` holds the trained tensors by name, `average` their running mean; the rest is optimiser,
        random generators and counters.
        Feed it to `checkpoints.pack_state`, or take `weights` out to store them apart.
        """
        return {
            "weights": {name: tensor.detach().clone() for name, tensor in self.trained.items()},
            "average": {name: tensor.clone() for name, tensor in self._average.tensors.items()},
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "choices": self.choices.get_state(),
            "noise": self.noise.get_state(),
            "previous": self.method.carried,
            "progress": asdict(self._progress),
            "config": self.config.to_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot: on a CPU, bit for bit as if the run had never stopped.

        A snapshot of another kind of device has another kind of random numbers: from here on the noise is
        drawn anew, and `moved` says so.

        Raises:
            UsageError: The snapshot was made with other settings (the number of iterations may differ).
            JobError: The snapshot is of another generator.
        """
        _check_same_settings(self.config, StylizeConfig.from_dict(state["config"]))
        weights = state["weights"]
        if {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in self.trained.items()}:
            raise JobError("The checkpoint's weights are not those of this generator.")
        with torch.no_grad():
            for name, tensor in self.trained.items():
                tensor.copy_(weights[name])
                self._average.tensors[name].copy_(state.get("average", weights)[name])
        self.optimizer.load_state_dict(for_this(self.optimizer, state["optimizer"]))
        self._progress = Progress(**state["progress"])
        self.choices.set_state(state["choices"].cpu())
        self.moved = not restore(
            self.noise, state["noise"].cpu(), self.config.seed + self._progress.iteration
        )
        carried = state["previous"]
        self.method.carried = None if carried is None else tuple(t.to(self.device) for t in carried)


def _check_same_settings(now: StylizeConfig, then: StylizeConfig) -> None:
    earlier = then.to_dict()
    for name, value in now.to_dict().items():
        if name not in MAY_CHANGE_ON_RESUME and value != earlier[name]:
            raise UsageError(
                f"`{flag(name)}` (={value}) must stay {earlier[name]}, with which the run was started."
            )
