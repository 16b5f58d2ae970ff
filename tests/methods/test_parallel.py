"""Several processes on one style: the same weights as one, and agreement on all that matters."""

import copy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stylehead.errors import JobError, UsageError
from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.parallel import Ranks, check_shared, join_crew
from stylehead.processes import how_many, is_follower
from stylehead.teacher import Teacher

Make = Callable[..., Stylizer]


class Room:
    """Where threads that stand for processes meet."""

    def __init__(self, size: int) -> None:
        self.size, self.values = size, dict[int, Any]()
        self.gate = threading.Barrier(size, timeout=60)

    def meet(self, rank: int, value: Any) -> list[Any]:
        self.values[rank] = value
        self.gate.wait()
        everybody = [self.values[other] for other in range(self.size)]
        self.gate.wait()
        return everybody


class PretendDistributed:
    """What of `torch.distributed` is used, between threads."""

    class ReduceOp:
        SUM, MAX = "sum", "max"

    def __init__(self, room: Room, rank: int) -> None:
        self.room, self.rank = room, rank

    def all_reduce(self, tensor: Tensor, op: str = "sum") -> None:
        stacked = torch.stack(self.room.meet(self.rank, tensor.clone()))
        tensor.copy_(stacked.sum(dim=0) if op == "sum" else stacked.amax(dim=0))

    def broadcast(self, tensor: Tensor, source: int) -> None:
        tensor.copy_(self.room.meet(self.rank, tensor.clone())[source])

    def broadcast_object_list(self, box: list[Any], source: int, device: object) -> None:
        box[0] = self.room.meet(self.rank, box[0])[source]


class ThreadRanks(Ranks):
    def __init__(self, room: Room, rank: int) -> None:
        self._group, self._device = PretendDistributed(room, rank), torch.device("cpu")
        self.rank, self.size = rank, room.size


def together(stylizers: list[Stylizer], work: Callable[[Stylizer], Any]) -> list[Any]:
    """Let each do its work in a thread of its own, as one crew; raises what any of them raises."""
    room, results, errors = Room(len(stylizers)), dict[int, Any](), list[BaseException]()

    def run(rank: int) -> None:
        try:
            stylizers[rank].crew = ThreadRanks(room, rank)
            results[rank] = work(stylizers[rank])
        except BaseException as error:
            errors.append(error)
            room.gate.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(stylizers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next(
            (error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0]
        )
    return [results[rank] for rank in range(len(stylizers))]


def train(stylizer: Stylizer) -> dict[str, Tensor]:
    stylizer.run()
    return {name: tensor.detach().clone() for name, tensor in stylizer.trained.items()}


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).detach().abs().max()) for name in one)


SHARED = {"batch": 2, "learning_rate": 1e-4}


@pytest.fixture
def make_exact(make_stylizer: Make, teacher_folder: Path) -> Iterator[Make]:
    """Build stylizers that compute in double precision."""
    torch.set_default_dtype(torch.float64)
    teacher = Teacher.load(teacher_folder, dtype=torch.float64)
    teacher.parts.vae.double()

    def make(**settings: Any) -> Stylizer:
        stylizer = make_stylizer(teacher=teacher, batch=2, **settings)
        stylizer.generator.double()
        stylizer.reference = copy.deepcopy(stylizer.reference).double()
        stylizer._camera = stylizer._camera.double()
        average = stylizer._average
        average.tensors = {name: tensor.double() for name, tensor in average.tensors.items()}
        return stylizer

    yield make
    torch.set_default_dtype(torch.float32)


def test_two_processes_train_exactly_what_one_does(make_exact: Make) -> None:
    alone = train(make_exact())
    first, second = together([make_exact() for _ in range(2)], train)
    assert next(iter(alone.values())).dtype == torch.float64
    assert furthest(first, second) == 0
    assert furthest(first, alone) < 1e-11
    assert furthest(alone, dict(make_exact().trained)) > 1e-3


@pytest.mark.parametrize(
    ("settings", "distance"),
    [({}, 1e-6), ({"views": 2, "grid": False}, 5e-6), ({"rank": "both", "alpha_weight": 1.0}, 1e-6)],
    ids=["default", "two views", "rank"],
)
def test_two_processes_train_what_one_does_in_single_precision(
    make_stylizer: Make, settings: dict[str, Any], distance: float
) -> None:
    """Adam divides by the gradient's size: where that is next to nothing, rounding is magnified."""
    alone = train(make_stylizer(**SHARED, **settings))
    first, second = together([make_stylizer(**SHARED, **settings) for _ in range(2)], train)
    assert furthest(first, second) == 0
    assert furthest(first, alone) < distance
    start = dict(make_stylizer(**SHARED, **settings).trained)
    assert furthest(alone, start) > 1e-5


def test_at_the_default_rate_rounding_is_small_beside_what_is_learned(make_stylizer: Make) -> None:
    """Already the first layer multiplies one person in another order than two."""
    settings = {"batch": 2, "learning_rate": StylizeConfig.learning_rate}
    start = dict(make_stylizer(**settings).trained)
    alone = train(make_stylizer(**settings))
    first, _ = together([make_stylizer(**settings) for _ in range(2)], train)
    moved, apart = (distance(alone, other) for other in (start, first))
    assert moved > 0.1
    assert apart < 2e-4 * moved


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The Euclidean one, of all weights together."""
    return sum(float((one[name] - other[name]).detach().square().sum()) for name in one) ** 0.5


def test_a_run_goes_on_with_another_number_of_processes(make_exact: Make) -> None:
    alone = train(make_exact(iterations=4))

    def part(steps: int, state: dict[str, Any] | None) -> Callable[[Stylizer], dict[str, Any]]:
        def work(stylizer: Stylizer) -> dict[str, Any]:
            if state is not None:
                stylizer.load_state_dict(copy.deepcopy(state))  # each process has its own
            for _ in range(steps):
                stylizer.step()
            return stylizer.state_dict()

        return work

    saved, _ = together([make_exact(iterations=4) for _ in range(2)], part(2, None))
    then = part(1, saved)(make_exact(iterations=4))
    last, _ = together([make_exact(iterations=4) for _ in range(2)], part(1, then))
    assert furthest(last["weights"], alone) < 1e-11
    two_steps = part(2, None)(make_exact(iterations=4))
    assert bool((saved["choices"] == two_steps["choices"]).all())


def test_a_process_whose_gradient_is_not_finite_keeps_all_from_moving(make_stylizer: Make) -> None:
    pair = [make_stylizer(**SHARED) for _ in range(2)]
    before = {name: tensor.detach().clone() for name, tensor in pair[0].trained.items()}
    honest = pair[1].method.terms

    def spoiled(scene: Any, *, rng: torch.Generator) -> Any:
        terms = honest(scene, rng=rng)
        terms.losses["spoiled"] = pair[1].generator.backbone.synthesis.b4.const.sum() * float("nan")
        return terms

    pair[1].method.terms = spoiled
    records = together(pair, lambda stylizer: stylizer.step())
    assert all("step" in record.non_finite for record in records)
    for stylizer in pair:
        assert furthest(dict(stylizer.trained), before) == 0


def test_all_give_up_together(make_stylizer: Make) -> None:
    pair = [make_stylizer(**SHARED, max_non_finite=1) for _ in range(2)]
    honest = pair[0].method.terms

    def spoiled(scene: Any, *, rng: torch.Generator) -> Any:
        terms = honest(scene, rng=rng)
        terms.losses["spoiled"] = pair[0].generator.backbone.synthesis.b4.const.sum() * float("inf")
        return terms

    pair[0].method.terms = spoiled

    def failing(stylizer: Stylizer) -> str:
        with pytest.raises(JobError) as caught:
            stylizer.step()
        return caught.value.message

    said = together(pair, failing)
    assert said[0] == said[1] == "1 iterations in a row were not finite (step)."


def test_own_noise_differs_and_the_first_process_keeps_the_run_s(make_stylizer: Make) -> None:
    noisy = {**SHARED, "noise_mode": "random"}
    alone = make_stylizer(**{**noisy, "batch": 1})
    alone.step()
    drawn = together([make_stylizer(**noisy) for _ in range(2)], lambda s: (s.step(), s.noise.get_state())[1])
    assert bool((drawn[0] == drawn[1]).all())
    assert bool((drawn[0] == alone.noise.get_state()).all())
    fresh = torch.Generator().manual_seed(1)
    room = Room(2)
    assert ThreadRanks(room, 0).noise(fresh, 5) is fresh
    assert (
        ThreadRanks(room, 1).noise(fresh, 5).initial_seed()
        != ThreadRanks(room, 1).noise(fresh, 6).initial_seed()
    )


def test_the_first_process_decides_about_time(make_stylizer: Make) -> None:
    pair = [make_stylizer(**SHARED, time_budget_minutes=1.0) for _ in range(2)]
    pair[0]._progress.elapsed_s = 0.0
    pair[1]._progress.elapsed_s = 1e9
    assert together(pair, lambda s: s.run().iterations) == [3, 3]


def test_a_process_that_is_gone_is_a_sentence() -> None:
    class Gone(PretendDistributed):
        def all_reduce(self, tensor: Tensor, op: str = "sum") -> None:
            raise RuntimeError("Connection closed by peer [127.0.0.1]:4711")

    crew = ThreadRanks(Room(2), 1)
    crew._group = Gone(Room(2), 1)
    with pytest.raises(JobError, match="Another of the 2 processes of this run is gone") as caught:
        crew.any(False)
    assert "--resume" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, r"`--batch` \(=1\) must be a multiple of 2"),
        ({"batch": 3}, r"`--batch` \(=3\) must be a multiple of 2"),
        ({"batch": 2, "relative_distance_weight": 1.0}, "`--relative-distance-weight` compares the people"),
        ({"batch": 2, "method": "edit", "critic_weight": 0.1}, "`--critic-weight` compares the people"),
    ],
)
def test_settings_that_cannot_be_shared_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_shared(StylizeConfig.from_dict({"prompt": "joker", **settings}), 2)


def test_a_process_alone_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StylizeConfig.from_dict({"prompt": "joker"})
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (how_many(), is_follower(), join_crew(config, "cpu").size) == (1, False, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert how_many() == 1
    monkeypatch.setenv("RANK", "1")
    assert (how_many(), is_follower()) == (2, True)
