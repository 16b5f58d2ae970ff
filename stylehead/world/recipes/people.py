"""People to train a generator on: in memory, or drawn without end by processes beside the training.

Half of an endless crowd are people as they are, the other half as truncation should show them, so that the
synthesis learns to draw whole haircuts from halved style vectors.
"""

import multiprocessing
import os
import queue
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stylehead.errors import JobError, StyleheadError
from stylehead.world.heads import VECTOR_FIELDS
from stylehead.world.recipes.data import Renders, facing, joined_renders

if TYPE_CHECKING:
    from stylehead.world.heads import HeadRenderer

PersonArrays = dict[str, np.ndarray]
"""One person's arrays, named as in a shard."""

DrawOne = Callable[["HeadRenderer", int, int], PersonArrays]
"""Draws the training person of a seed (0 to 2^31) from so many cameras."""

WHOLE_PART, LEAST_PSI = 0.5, 0.5
"""Part of the people drawn at psi 1; the others are truncated by anything between the least psi and 1."""

_MOST_UNDECIDED = 0.45
_SEEDS = 2**31
_PSI_SEED_SHIFT = 555_000_000
_PATIENCE = 5.0  # seconds between checks whether the other side still lives
_WAITING = 64  # people drawn in advance


class People(Protocol):
    """A crowd to draw from."""

    @property
    def numbers(self) -> Tensor:
        """Identities in numbers [N, 128] of people like those that are drawn."""
        ...

    def draw(self, count: int, rng: torch.Generator) -> Renders:
        """Some people from all of their cameras."""
        ...


class KeptPeople:
    """People whose renders are in memory.

    Args:
        views: Renders, styles and all.
    """

    def __init__(self, views: Renders) -> None:
        self.views = views

    @property
    def numbers(self) -> Tensor:
        """Of all of them."""
        return self.views.numbers

    def draw(self, count: int, rng: torch.Generator) -> Renders:
        """Draw with repetition."""
        return self.views.rows(torch.randint(len(self.views), (count,), generator=rng))


class PeopleStream:
    """People drawn by processes of their own, and used a few times each before they make room for others.

    The first seed is taken from the training's source of chance: a training that goes on meets new people.

    Args:
        workers: Processes that draw, and wait when they are ahead; by default one a core but one.
        views: Cameras of each person.
        size: People kept in memory, 0.6 MB each.
        least: People that have to be there before the first draw.
        draw_one: Draws the training person of a seed from so many cameras; a function of a module.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        views: int = 6,
        size: int = 2048,
        least: int = 24,
        draw_one: "DrawOne | None" = None,
    ) -> None:
        self.workers = workers or max(1, (os.cpu_count() or 2) - 1)
        self.views, self.size, self.least = views, size, least
        self.draw_one = draw_one or draw_person
        self.kept: list[PersonArrays] = []
        self.oldest = 0
        self._arriving: Any = None
        self._processes: list[BaseProcess] = []

    @property
    def numbers(self) -> Tensor:
        """Of a thousand random people."""
        from stylehead.world.heads.identity import numbers_from_z

        z = np.random.RandomState(9).randn(1024, 64)
        return torch.from_numpy(numbers_from_z(z)).float()

    def draw(self, count: int, rng: torch.Generator) -> Renders:
        """Take in up to a quarter as many new people, and draw from all that are kept.

        Raises:
            StyleheadError: Heads cannot be drawn here, or a process that draws them was ended.
        """
        chosen = self.take(count, rng)
        return joined_renders([{name: array[None] for name, array in row.items()} for row in chosen])

    def take(self, count: int, rng: torch.Generator) -> list[PersonArrays]:
        """As `draw`, person by person."""
        if not self._processes:
            self.start(int(torch.randint(_SEEDS, (), generator=rng)))
        while len(self.kept) < self.least:
            self._keep(self._received())
        for _ in range(max(1, count // 4)):
            if not self._arriving.empty():
                self._keep(self._received())
        rows = torch.randint(len(self.kept), (count,), generator=rng).tolist()
        return [self.kept[row] for row in rows]

    def start(self, first: int) -> None:
        """Start drawing the people of all seeds from `first` on."""
        context = multiprocessing.get_context("spawn")
        self._arriving = context.Queue(_WAITING)
        for number in range(self.workers):
            arguments = (self._arriving, first + number, self.workers, self.views, self.draw_one)
            process = context.Process(target=_draw_people, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
            process.join()
        self._processes = []

    def _keep(self, row: PersonArrays) -> None:
        if len(self.kept) < self.size:
            self.kept.append(row)
        else:
            self.kept[self.oldest] = row
            self.oldest = (self.oldest + 1) % self.size

    def _received(self) -> PersonArrays:
        while True:
            try:
                found: PersonArrays | StyleheadError = self._arriving.get(timeout=_PATIENCE)
            except queue.Empty:
                self._check()
                continue
            if isinstance(found, StyleheadError):
                raise found
            return found

    def _check(self) -> None:
        for process in self._processes:
            if not process.is_alive():
                raise JobError(f"A process that draws people ended with code {process.exitcode}.")


def _draw_people(arriving: Any, first: int, step: int, views: int, draw_one: DrawOne) -> None:
    """Draw person after person into a queue, for as long as the process that asked for them lives."""
    arriving.cancel_join_thread()  # whoever would empty the queue at the end may be gone
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of the software renderer, which takes all cores otherwise
    from stylehead.world.heads import HeadRenderer

    try:
        with HeadRenderer(resolution=128, supersample=2) as renderer:
            seed = first
            while _put(arriving, draw_one(renderer, seed, views)):
                seed += step
    except StyleheadError as error:
        _put(arriving, error)


def draw_person(renderer: "HeadRenderer", seed: int, views: int) -> PersonArrays:
    """Draw the training person of a seed (0 to 2^31), whole or truncated, from cameras of its own."""
    from stylehead.world.heads import STYLES, TRAINING_SEED_BASE
    from stylehead.world.recipes.drawing import RenderSet, cameras_of, drawn_person

    seed = TRAINING_SEED_BASE + seed % _SEEDS
    cameras = cameras_of(RenderSet("", seed, 1, views, STYLES[:1], 1), seed)
    return drawn_person(renderer, seed, cameras, psi=training_psi(seed))


def training_psi(seed: int) -> float:
    """How truncated the person of a seed is drawn."""
    rng = np.random.RandomState((seed + _PSI_SEED_SHIFT) % 2**32)
    return 1.0 if rng.rand() < WHOLE_PART else float(rng.uniform(LEAST_PSI, 1.0))


def _put(arriving: Any, what: PersonArrays | StyleheadError) -> bool:
    """Wait for a place in the queue; False when the training that reads it has ended."""
    parent = multiprocessing.parent_process()
    while parent is None or parent.is_alive():
        try:
            arriving.put(what, timeout=_PATIENCE)
        except queue.Full:
            continue
        return True
    return False


def undecided(numbers: Tensor, crowd: Tensor, rng: torch.Generator, *, part: float = 0.3) -> Tensor:
    """Mix choices of some people with those of others, less than half: whose picture it is stays clear.

    The mapping chooses by steps that have slopes, and people on a slope have a bit of two haircuts. What is
    drawn there has to be the nearer of the two.

    Args:
        numbers: Identities [K, 128].
        crowd: Those whose choices are mixed in [N, 128].
        rng: Source of chance, on the CPU.
        part: Of the people, for each kind of choice.
    """
    others = crowd[torch.randint(len(crowd), (len(numbers),), generator=rng).to(crowd.device)]
    mixed, start = numbers.clone(), 0
    for field in VECTOR_FIELDS:
        chosen = slice(start, start + field.size)
        start = chosen.stop
        if field.categories:
            share = torch.rand(2, len(numbers), 1, generator=rng).to(numbers.device)
            share = _MOST_UNDECIDED * share[0] * (share[1] < part)
            mixed[:, chosen] = numbers[:, chosen].lerp(others[:, chosen], share)
    return mixed


def mostly_facing_columns(cameras: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Different views [N, count] of each person's cameras [N, V, 25]; the first is preferably of the face."""
    shape = cameras.shape[:2]
    first = (facing(cameras) + torch.rand(shape, generator=rng)).argmax(dim=1, keepdim=True)
    return torch.rand(shape, generator=rng).scatter(1, first, 2.0).topk(count, dim=1).indices
