"""Draw the training and held-out renders of the procedural heads: `python -m stylehead.world data`.

Sets: `photo` and `styled` for training, `judged` and `judgedstyled` for training the judges, `test`,
`truncated` and `teststyled` for held-out figures. Styled pictures show people of the photographs from the
same cameras, truncated ones what `--psi 0.75` should show. A set grows shard by shard; what exists is not
drawn again.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stylehead.files import atomic_path
from stylehead.geometry import camera_from_angles
from stylehead.world.heads import (
    STYLES,
    TRAINING_SEED_BASE,
    HeadRenderer,
    identity_from_z,
    identity_vector,
    truncated,
    z_from_seed,
)
from stylehead.world.heads.styles import StyleName

JUDGE_SEED_BASE = 500_000_000
"""First seed of the people that judges are trained on."""
_CAMERA_SEED_SHIFT = 777_000_000
_FRONT_PART = 0.5
_FRONT_YAW = np.pi / 3
_PITCH = np.deg2rad(30)


@dataclass(frozen=True)
class RenderSet:
    """One set of renders.

    Attributes:
        name: Folder under the data folder.
        first_seed: Seed of the first person.
        people: How many.
        views: Cameras of each person.
        styles: Styles each person is drawn in.
        shard: People in a file.
        turntable: Cameras evenly around instead of at random.
        psi: How truncated everybody is.
    """

    name: str
    first_seed: int
    people: int
    views: int
    styles: tuple[StyleName, ...]
    shard: int
    turntable: bool = False
    psi: float = 1.0


def render_sets(people: int, tests: int = 256) -> list[RenderSet]:
    """All sets: so many people to train on, half of them in every style, a fifth as many for the judges."""
    styled, judges = max(2, people // 2), max(2, people // 5)
    shard = min(10, people)
    return [
        RenderSet("test", 0, tests, 12, STYLES[:1], min(64, tests), turntable=True),
        RenderSet("truncated", 0, min(64, tests), 12, STYLES[:1], min(64, tests), turntable=True, psi=0.75),
        RenderSet("teststyled", 0, min(64, tests), 4, STYLES[1:], min(16, tests), turntable=True),
        RenderSet("photo", TRAINING_SEED_BASE, people, 6, STYLES[:1], min(50, people)),
        RenderSet("styled", TRAINING_SEED_BASE, styled, 4, STYLES[1:], shard),
        RenderSet("judged", JUDGE_SEED_BASE, judges, 4, STYLES[:1], shard),
        RenderSet("judgedstyled", JUDGE_SEED_BASE, judges, 4, STYLES[1:], shard),
    ]


def draw_data(
    data: Path,
    *,
    people: int,
    minutes: float,
    report: Callable[[str], None],
    tests: int = 256,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Draw what is missing of the sets.

    Args:
        data: Folder of all sets.
        people: Training identities.
        minutes: Stop after this time, at the end of a shard.
        report: Takes a line per shard.
        tests: Identities to measure on.
        part: Which of how many processes this is: each draws its own shards.
    """
    end = time.monotonic() + 60 * minutes
    with HeadRenderer(resolution=128, supersample=2) as renderer:
        for render_set, number, seeds in _missing(data, render_sets(people, tests), part):
            if time.monotonic() > end:
                report("out of time; start again to go on")
                return
            _write_shard(_path(data, render_set, number), renderer, render_set, seeds)
            report(f"{render_set.name}: {seeds.stop - render_set.first_seed} of {render_set.people} people")


def _missing(
    data: Path, sets: list[RenderSet], part: tuple[int, int]
) -> Iterator[tuple[RenderSet, int, range]]:
    """Shards that are not drawn yet."""
    mine, of = part
    for render_set in sets:
        (data / render_set.name).mkdir(parents=True, exist_ok=True)
        for number, seeds in _shards(render_set):
            if number % of == mine and not _path(data, render_set, number).exists():
                yield render_set, number, seeds


def _path(data: Path, render_set: RenderSet, number: int) -> Path:
    return data / render_set.name / f"shard_{number:05d}.npz"


def cameras_of(render_set: RenderSet, seed: int) -> torch.Tensor:
    """Camera labels [V, 25] of a person; half of the random ones look at the face."""
    if render_set.turntable:
        yaws = -np.pi + np.arange(render_set.views) * 2 * np.pi / render_set.views
        return torch.cat([camera_from_angles(float(yaw), 0.0) for yaw in yaws])
    rng = np.random.RandomState(seed + _CAMERA_SEED_SHIFT)
    labels = []
    for _ in range(render_set.views):
        limit = _FRONT_YAW if rng.rand() < _FRONT_PART else np.pi
        yaw = rng.uniform(-limit, limit)
        labels.append(camera_from_angles(float(yaw), float(rng.uniform(-_PITCH, _PITCH))))
    return torch.cat(labels)


def _shards(render_set: RenderSet) -> Iterator[tuple[int, range]]:
    last = render_set.first_seed + render_set.people
    for number, first in enumerate(range(render_set.first_seed, last, render_set.shard)):
        yield number, range(first, min(first + render_set.shard, last))


def _write_shard(path: Path, renderer: HeadRenderer, render_set: RenderSet, seeds: range) -> None:
    rows = [
        drawn_person(renderer, seed, cameras_of(render_set, seed), style=style, psi=render_set.psi)
        for seed in seeds
        for style in render_set.styles
    ]
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(
            file, allow_pickle=False, **{name: np.stack([row[name] for row in rows]) for name in rows[0]}
        )


def drawn_person(
    renderer: HeadRenderer, seed: int, cameras: torch.Tensor, *, style: StyleName = "photo", psi: float = 1.0
) -> dict[str, np.ndarray]:
    """One row of a shard: pictures of a person, and who it is before truncation.

    Args:
        renderer: Draws.
        seed: Who.
        cameras: Labels [V, 25].
        style: Of the pictures.
        psi: How truncated the person is drawn.
    """
    z = z_from_seed(seed)
    identity = identity_from_z(z)
    views = renderer.render(truncated(identity, psi), style, cameras)
    return {
        "images": views.image,
        "mask": views.mask,
        "depth": views.depth,
        "cam": cameras.numpy().astype(np.float32),
        "z": z.astype(np.float32),
        "params": identity_vector(identity).astype(np.float32),
        "style": np.array(style),
        "ident": np.array(seed),
        "psi": np.array(psi, np.float32),
    }
