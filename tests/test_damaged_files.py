"""Every reader, on files that were cut, overwritten and edited: a result, or a sentence that names it."""

import copy
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylehead.bank.manifest import BankPerson, BankView, EditRecord, Manifest
from stylehead.errors import StyleheadError
from stylehead.export.mesh_files import save_mesh
from stylehead.export.recipe import read_recipe, save_image
from stylehead.export.video import write_gif, write_mp4, write_webp
from stylehead.files import write_json
from stylehead.generator.checkpoint import read_config, read_with_header
from stylehead.generator.style_file import load_style
from stylehead.inversion.camera_files import read_camera_file
from stylehead.inversion.latent_files import read_heads
from stylehead.inversion.latents import save_latent
from stylehead.jobs.render import listed_files
from stylehead.methods.config import StylizeConfig
from stylehead.runs import RunDirectory
from stylehead.weights import store
from stylehead.weights.store import FileFacts, Record

SIZE = 16
FRAMES = np.random.RandomState(0).randint(0, 255, (2, SIZE, SIZE, 3), np.uint8)
RECIPE = {"command": "render", "styles": [{"prompt": "joker", "strength": 1.0}], "heads": ["seed-4"]}


class Reader(NamedTuple):
    """A file that is written well, and what reads it."""

    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]


def make_run(path: Path) -> None:
    run = RunDirectory.create(path.parent, {"config": {"prompt": "x"}, "steps": 2, "files": {"style": "a"}})
    for step in (1, 2):
        run.log({"step": step, "loss": 0.5})
    state = {"rng": torch.arange(5, dtype=torch.uint8), "best": float("inf"), "steps": (1, "2", None)}
    run.save_checkpoint(2, {"w": torch.ones(3)}, state, keep=1)


def make_bank(path: Path) -> None:
    view = BankView("0000_0", 0, 10.0, 0.0, (0.5,) * 25, "ab" * 32)
    edit = EditRecord("edited/0000_0.png", "0000_0", "cd" * 32, "editor", "terms", "joker", "make it", 3)
    person = BankPerson("0000", 1, None, "ef" * 32)
    Manifest("f" * 64, "mini", 1.0, 128, (person,), (view,), "joker", (edit,)).write(path.parent)


def make_record(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {"g.safetensors": FileFacts(3, "0" * 64)}
    store.write_record(Record("panohead", Path("/somewhere"), files, "me", None, "today"))


def config_text(path: Path) -> None:
    path.write_text(StylizeConfig.from_dict({"prompt": "joker"}).to_json())


def read_run(path: Path) -> object:
    run = RunDirectory.open(path.parent)
    run.manifest(), run.events(), run.checkpoints()
    run.rewind_events(1)
    return run.saved.newest(lambda sentence: None)


def read_config_text(path: Path) -> object:
    return StylizeConfig.from_json(path.read_text("latin1"))


def read_settings(path: Path) -> object:
    return StylizeConfig.from_dict(RunDirectory(path.parent).manifest())


def picture(path: Path) -> None:
    save_image(path, FRAMES[0], RECIPE)


def mesh(path: Path) -> None:
    from stylehead.export.mesh import Mesh

    corners = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    values = {"vertices": corners, "normals": corners, "faces": faces, "colours": np.zeros((4, 3), np.uint8)}
    known = {field.name: values.get(field.name) for field in dataclasses.fields(Mesh)}
    save_mesh(path, Mesh(**known), RECIPE)


def tensors(path: Path) -> None:
    from stylehead.files import save_tensors

    header = {"stylehead.format": "style-1", "stylehead.base": "0" * 64}
    save_tensors(path, {"a.down": torch.ones(2, 3), "a.up": torch.ones(4, 2)}, header)


READERS = {
    "run": Reader("run/run.json", make_run, read_run),
    "settings of a run": Reader("run/run.json", make_run, read_settings),
    "events": Reader("run/events.jsonl", make_run, read_run),
    "state": Reader("run/checkpoints/step_000002/state.json", make_run, lambda p: read_run(p.parents[1])),
    "tensors of a state": Reader(
        "run/checkpoints/step_000002/state.safetensors", make_run, lambda p: read_run(p.parents[1])
    ),
    "render": Reader(
        "render.json",
        lambda path: write_json(path, {**RECIPE, "files": ["turntable.mp4"]}),
        lambda path: listed_files(path.parent),
    ),
    "bank": Reader("bank.json", make_bank, lambda path: Manifest.read(path.parent)),
    "record": Reader("home/weights/panohead.json", make_record, lambda path: store.read_record("panohead")),
    "config": Reader(
        "config.json", config_text, lambda path: StylizeConfig.from_json(path.read_text("latin1"))
    ),
    "png": Reader("a.png", picture, read_recipe),
    "jpeg": Reader("a.jpg", picture, read_recipe),
    "webp": Reader("a.webp", picture, read_recipe),
    "mp4": Reader("a.mp4", lambda path: write_mp4(path, FRAMES, RECIPE), read_recipe),
    "gif": Reader("a.gif", lambda path: write_gif(path, FRAMES, RECIPE), read_recipe),
    "film in webp": Reader("b.webp", lambda path: write_webp(path, FRAMES, RECIPE), read_recipe),
    "latent": Reader(
        "a.npz",
        lambda path: save_latent(path, torch.ones(1, 4, 8), torch.ones(1, 25)),
        lambda path: read_heads(path, num_ws=4, w_dim=8),
    ),
    "camera": Reader("c.json", lambda path: path.write_text(json.dumps([0.5] * 25)), read_camera_file),
    "style": Reader("s.safetensors", tensors, load_style),
    "tensors": Reader("t.safetensors", tensors, read_with_header),
    "generator": Reader("g.safetensors", tensors, read_config),
}
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = PLAIN | st.just([]) | st.just({})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in pairs for place in places(entry, (*path, key)))]


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    value = copy.deepcopy(value)
    inside = value
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = new
    return value


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, *, is_json: bool) -> bytes:
    """Cut a file, write over a part of it, put something in, or change a value of its JSON."""
    kinds = ["cut", "write over", "put in", "empty", *(["value"] * 4 if is_json else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "value":
        content = json.loads(whole)
        new = draw(VALUES)
        return json.dumps(put(content, draw(st.sampled_from(places(content))), new)).encode()
    at = draw(st.integers(0, len(whole)))
    if kind == "cut":
        return whole[:at]
    if kind == "empty":
        return b""
    junk = draw(st.binary(min_size=1, max_size=12))
    return whole[:at] + junk + whole[at + (len(junk) if kind == "write over" else 0) :]


def refusal(read: Callable[[], object]) -> str | None:
    try:
        read()
    except StyleheadError as error:
        return error.message
    return None


@pytest.mark.parametrize("tries", [20, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", READERS)
def test_damage_is_one_sentence_that_names_the_file(
    name: str, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEHEAD_HOME", str(tmp_path / "whole" / "home"))
    reader = READERS[name]
    path = tmp_path / "whole" / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name == "run" or "checkpoints" in path.parts:
        shutil.rmtree(tmp_path / "whole" / "run")
        reader.make(tmp_path / "whole" / "run" / "run.json")
    else:
        reader.make(path)
    whole = path.read_bytes()

    @given(damaged(whole, is_json=path.suffix == ".json"))
    @settings(max_examples=tries, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def reads(content: bytes) -> None:
        path.write_bytes(content)
        if (sentence := refusal(lambda: reader.read(path))) is not None:
            known = "config" in name or "settings" in name or "checkpoint" in sentence
            assert known or path.name in sentence or str(path.parent) in sentence
            assert "\n" not in sentence

    reads()
