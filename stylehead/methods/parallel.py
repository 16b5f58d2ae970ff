"""Several processes on one style: the people of a step are split among them, and their gradients averaged.

Every process draws the whole step with the same random numbers and keeps its own part of the people, so that
a run is the same with any number of processes up to rounding (which Adam lifts where a gradient is next to
nothing), and a checkpoint fits any of them. Numbers that a method draws beside that (none with default
settings) are the first process's, and other ones elsewhere.

Started by `torchrun` or `accelerate launch`, whose environment says who is who.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from stylehead.errors import JobError, UsageError
from stylehead.methods.config import StylizeConfig
from stylehead.methods.draws import Draw
from stylehead.processes import how_many

_COUPLING = ("relative_distance_weight", "critic_weight", "matching_weight")
"""Terms that compare the people of a step with each other, or learn from them by themselves."""


class Crew:
    """The processes that train one style, seen by one of them; this one stands for a process alone.

    Attributes:
        rank: Which of them this is; the first, 0, writes.
        size: How many they are.
    """

    rank, size = 0, 1

    def part(self, draw: Draw) -> Draw:
        """Return the part of a step's people that is this process's."""
        return draw

    def own(self, count: int) -> slice:
        """Return which of so many people are this process's."""
        return slice(0, count)

    def noise(self, rng: torch.Generator, seed: int) -> torch.Generator:
        """Return what to draw a step's own random numbers from."""
        return rng

    def settle(self, parameters: Sequence[torch.nn.Parameter], rng: torch.Generator, *, usable: bool) -> bool:
        """Average gradients, if no process has one that is not finite, and agree on random numbers.

        Args:
            parameters: What moves in this step.
            rng: The run's, in the state of the first process after the step.
            usable: Whether this process's gradient may be used.

        Returns:
            Whether all of them may; then gradients are the average.
        """
        return usable

    def leads(self, decision: bool) -> bool:
        """Return what the first process decides."""
        return decision

    def any(self, said: bool) -> bool:
        """Return whether it is so in any process."""
        return said

    def told(self, value: Any) -> Any:
        """Return the value that the first process has."""
        return value


class Ranks(Crew):
    """Several processes, over `torch.distributed`.

    Args:
        device: Where tensors are that they exchange.
    """

    def __init__(self, device: torch.device) -> None:
        from torch import distributed

        self._group, self._device = distributed, device
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def part(self, draw: Draw) -> Draw:
        """Return the part of a step's people that is this process's."""
        people = len(draw.z)
        keep = self.own(people)
        fields = {
            field.name: _kept(getattr(draw, field.name), keep, people) for field in dataclasses.fields(draw)
        }
        return Draw(**fields)

    def own(self, count: int) -> slice:
        """Return which of so many people are this process's."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def noise(self, rng: torch.Generator, seed: int) -> torch.Generator:
        """Return what to draw a step's own random numbers from: other ones in every process."""
        if self.rank == 0:
            return rng
        return torch.Generator(rng.device).manual_seed((seed * self.size + self.rank) % 2**63)

    @torch.no_grad()
    def settle(self, parameters: Sequence[torch.nn.Parameter], rng: torch.Generator, *, usable: bool) -> bool:
        """Average gradients, if no process has one that is not finite, and agree on random numbers."""
        with self._together():
            flags = torch.tensor([not usable, *(p.grad is not None for p in parameters)], dtype=torch.uint8)
            flags = flags.to(self._device)
            self._group.all_reduce(flags, self._group.ReduceOp.MAX)
            spoiled, *moved = flags.tolist()
            state = rng.get_state().to(self._device)
            self._group.broadcast(state, 0)
            rng.set_state(state.cpu())
            if not spoiled:
                self._average([p for p, moves in zip(parameters, moved, strict=True) if moves])
        return not spoiled

    def _average(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the mean of all gradients, exchanged as one tensor."""
        if not parameters:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        packed = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._group.all_reduce(packed)
        packed /= self.size
        parts = packed.split([gradient.numel() for gradient in gradients])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def leads(self, decision: bool) -> bool:
        """Return what the first process decides."""
        with self._together():
            word = torch.tensor([decision], dtype=torch.uint8, device=self._device)
            self._group.broadcast(word, 0)
        return bool(word.item())

    def any(self, said: bool) -> bool:
        """Return whether it is so in any process."""
        with self._together():
            word = torch.tensor([said], dtype=torch.uint8, device=self._device)
            self._group.all_reduce(word, self._group.ReduceOp.MAX)
        return bool(word.item())

    def told(self, value: Any) -> Any:
        """Return the value that the first process has."""
        with self._together():
            box = [value]
            self._group.broadcast_object_list(box, 0, device=self._device)
        return box[0]

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Turn the end of another process into a sentence."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise JobError(
                f"Another of the {self.size} processes of this run is gone.",
                "start it again with --resume; any number of processes goes on from the last checkpoint",
            ) from error


def _kept(value: Any, keep: slice, people: int) -> Any:
    """Keep some people of tensors [K ...] or [K n ...], identity-major; all else stays."""
    if isinstance(value, dict):
        return {name: _kept(entry, keep, people) for name, entry in value.items()}
    if not isinstance(value, Tensor):
        return value
    each = len(value) // people
    return value[keep.start * each : keep.stop * each]


def join_crew(config: StylizeConfig | None, device: str) -> Crew:
    """Meet the other processes of a run, if there are any.

    Args:
        config: Settings of the run, if this process knows them already.
        device: `cpu` or `cuda`; every process takes the GPU of its number on its machine.

    Raises:
        UsageError: The settings are not for several processes.
        JobError: The others do not come.
    """
    if how_many() == 1:
        return Crew()
    if config is not None:
        check_shared(config, how_many())
    from torch import distributed

    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    elif os.environ.get("MASTER_ADDR") in ("127.0.0.1", "localhost"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else it listens on the network
    if not distributed.is_initialized():
        try:
            distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            raise JobError(
                f"The other processes of this run do not answer: {error}.", "torchrun --help"
            ) from error
    return Ranks(torch.device(device))


def leave_crew() -> None:
    """Say goodbye to the other processes."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def check_shared(config: StylizeConfig, size: int) -> None:
    """Refuse settings that several processes cannot share.

    Raises:
        UsageError: People do not split evenly, or a term is about all of them together.
    """
    if config.batch % size:
        raise UsageError(
            f"`--batch` (={config.batch}) must be a multiple of {size}: as many processes share it.",
            f"--batch {size}",
        )
    for name in _COUPLING:
        if getattr(config, name, 0) > 0:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"`{option}` compares the people of a step, which {size} processes do not have together.",
                f"{option} 0, or one process",
            )
