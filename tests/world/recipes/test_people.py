import dataclasses
import queue
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from stylehead.errors import JobError, MissingError
from stylehead.world.heads import (
    TRAINING_SEED_BASE,
    VECTOR_FIELDS,
    identity_from_z,
    truncated,
    z_from_seed,
)
from stylehead.world.heads.identity import numbers_from_z
from stylehead.world.recipes import people
from stylehead.world.recipes.people import LEAST_PSI, KeptPeople, PeopleStream, draw_person, training_psi


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def row(number, size=4):
    """A made-up person: everything says the number."""
    return {
        "images": np.full((2, size, size, 3), number, np.uint8),
        "mask": np.full((2, size, size), number, np.uint8),
        "depth": np.full((2, size, size), number, np.float16),
        "cam": np.full((2, 25), number, np.float32),
        "z": np.full(64, number, np.float32),
        "params": np.full(128, number, np.float32),
        "style": np.array("photo"),
        "ident": np.array(number),
        "psi": np.array(0.5, np.float32),
    }


class Waiting(queue.Queue):
    """What arrives, with nobody behind it."""

    def get(self, timeout):
        return super().get(block=False)


class Worker:
    exitcode = 3

    def __init__(self, alive):
        self.alive = alive

    def is_alive(self):
        return self.alive


@pytest.fixture
def stream(monkeypatch):
    """A stream that 40 people have arrived for; its worker is dead."""
    made = PeopleStream(size=10, least=6)

    def start(first):
        made.first = first
        made._arriving = Waiting()
        made._processes = [Worker(alive=False)]
        for number in range(40):
            made._arriving.put(row(number))

    monkeypatch.setattr(made, "start", start)
    return made


def test_people_in_memory_stay_together(photo):
    drawn = KeptPeople(photo).draw(20, rng())
    assert len(drawn) == 20
    assert set(drawn.identities.tolist()) == set(photo.identities.tolist())
    for number, identity in enumerate(drawn.identities.tolist()):
        person = photo.identities.tolist().index(identity)
        assert torch.equal(drawn.images[number], photo.images[person])
        assert torch.equal(drawn.z[number], photo.z[person])
    assert drawn.psi is None


def test_some_views_of_everybody(photo):
    columns = torch.tensor([[3, 0], [1, 2], [2, 2]])
    some = photo.columns(columns)
    for person, chosen in enumerate(columns.tolist()):
        assert torch.equal(some.images[person], photo.images[person, chosen])
        assert torch.equal(some.cameras[person], photo.cameras[person, chosen])
    assert torch.equal(some.numbers, photo.numbers)


def test_the_first_draw_waits_for_a_crowd_and_the_others_for_nobody(stream):
    first = stream.draw(4, rng())
    assert len(stream.kept) == 7  # six there must be, and a quarter of four came on top
    assert len(first) == 4
    assert torch.equal(first.psi, torch.full((4,), 0.5))
    assert (first.images == first.identities.view(-1, 1, 1, 1, 1)).all()
    assert (first.z == first.identities[:, None]).all()
    for _ in range(100):
        stream.draw(4, rng())
    assert {int(person["ident"]) for person in stream.kept} == set(range(30, 40))  # the newest


def test_a_training_that_goes_on_meets_other_people(stream):
    stream.draw(1, rng(0))
    once = stream.first
    stream._processes = []
    stream.draw(1, rng(1))
    assert stream.first != once


def test_a_dead_worker_is_reported_when_nobody_comes(stream):
    stream.least = 41
    with pytest.raises(JobError, match="ended with code 3"):
        stream.draw(1, rng())


def test_what_a_worker_lacks_is_said_in_its_words(stream, monkeypatch):
    stream.draw(1, rng())
    stream._arriving = Waiting()
    stream._arriving.put(MissingError("There is no OpenGL."))
    with pytest.raises(MissingError, match="no OpenGL"):
        stream.draw(1, rng())


def test_a_worker_stops_when_nobody_waits_for_it(monkeypatch):
    full = queue.Queue(1)
    full.put(None)
    monkeypatch.setattr(people, "_PATIENCE", 0.01)
    monkeypatch.setattr(people.multiprocessing, "parent_process", lambda: Worker(alive=False))
    assert not people._put(full, row(1))


def test_half_of_the_people_are_whole_and_the_others_half_truncated_at_most():
    drawn = [training_psi(seed) for seed in range(TRAINING_SEED_BASE, TRAINING_SEED_BASE + 1000)]
    whole = [psi for psi in drawn if psi == 1]
    assert 400 < len(whole) < 600
    assert all(LEAST_PSI <= psi <= 1 for psi in drawn)
    assert min(drawn) < LEAST_PSI + 0.05
    assert training_psi(TRAINING_SEED_BASE) == drawn[0]


class Pencil:
    """Draws whose picture was asked for."""

    def render(self, identity, style, cameras):
        self.identity, self.cameras = identity, cameras
        return dataclasses.make_dataclass("Views", ["image", "mask", "depth"])(*[np.zeros((6, 4, 4))] * 3)


@pytest.mark.parametrize("seed", range(6))
def test_training_people_are_drawn_truncated_and_described_whole(seed):
    pencil = Pencil()
    drawn = draw_person(pencil, seed, 6)
    assert drawn["ident"] == TRAINING_SEED_BASE + seed
    z = z_from_seed(TRAINING_SEED_BASE + seed)
    assert np.allclose(drawn["z"], z)
    wanted = truncated(identity_from_z(z), float(drawn["psi"]))
    assert pencil.identity.age == pytest.approx(wanted.age)
    assert pencil.identity.hair == wanted.hair
    assert pencil.cameras.shape == (6, 25)


def test_the_nearer_choice_wins_and_measures_stay():
    crowd = torch.from_numpy(numbers_from_z(np.random.RandomState(0).randn(40, 64)))
    mixed = people.undecided(crowd, crowd.flip(0), rng(), part=1.0)
    start = 0
    for field in VECTOR_FIELDS:
        chosen = slice(start, start + field.size)
        start = chosen.stop
        before, after = crowd[:, chosen], mixed[:, chosen]
        if field.categories:
            assert torch.equal(after.argmax(dim=1), before.argmax(dim=1))
            assert torch.allclose(after.sum(dim=1), torch.ones(40))
            assert (after.max(dim=1).values < 1).any()
        else:
            assert torch.equal(after, before)
    assert torch.equal(people.undecided(crowd, crowd.flip(0), rng(), part=0.0), crowd)


@pytest.mark.slow
def test_a_process_draws_people_beside_the_training():
    stream = PeopleStream(size=4, least=2)
    try:
        drawn = stream.draw(3, rng())
        assert drawn.images.shape == (3, 6, 3, 128, 128)
        assert (drawn.identities >= TRAINING_SEED_BASE).all()
        assert (drawn.masks.float().mean(dim=(2, 3)) > 20).all()
    finally:
        stream.close()
    assert stream._processes == []


_TRAINING = """
import torch
from stylehead.world.recipes.people import PeopleStream
if __name__ == "__main__":
    stream = PeopleStream(workers=1, least=1)
    stream.draw(1, torch.Generator())
    print(stream._processes[0].pid, flush=True)
    import time; time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system about a process that isn't its own")
def test_no_process_outlives_a_training_that_was_killed(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(_TRAINING)
    training = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    worker = int(training.stdout.readline())
    time.sleep(3)
    training.kill()
    training.wait()
    training.stdout.close()
    end = time.monotonic() + 120
    while _alive(worker) and time.monotonic() < end:
        time.sleep(1)
    assert not _alive(worker)


def _alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
