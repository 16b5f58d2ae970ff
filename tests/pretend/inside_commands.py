"""Whole jobs on the published layout at toy size, on the host and on the pretend device."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pretend_device import pretending
from torch import Tensor
from torch.nn import functional

for room in ("cli", "teacher", "perception"):
    sys.path.append(str(Path(__file__).parents[1] / room))
from full_scale import furnish, register  # noqa: E402
from lpips_seeded import seeded_heads, seeded_trunk  # noqa: E402
from recogniser_file import write_recogniser  # noqa: E402
from tiny_clip import write_tiny_clip  # noqa: E402
from tiny_teacher import write_tiny_depth_estimator, write_tiny_editors, write_tiny_teacher  # noqa: E402

from stylehead.bank import gate  # noqa: E402
from stylehead.evaluation import teacher_pictures  # noqa: E402
from stylehead.evaluation.numbers import Number  # noqa: E402
from stylehead.export import showcase  # noqa: E402
from stylehead.generator import GeneratorConfig  # noqa: E402
from stylehead.inversion import inverter  # noqa: E402
from stylehead.inversion.search import GridConfig  # noqa: E402
from stylehead.jobs import bank, environment, evaluate, invert, people_sheet, render, stylize  # noqa: E402
from stylehead.jobs.arguments import (  # noqa: E402
    EvaluateArguments,
    InvertArguments,
    RenderArguments,
    StylizeArguments,
)
from stylehead.jobs.report import Silent  # noqa: E402
from stylehead.perception.arcface import ArcFace  # noqa: E402
from stylehead.perception.inception import Inception  # noqa: E402
from stylehead.perception.lpips import FILES  # noqa: E402
from stylehead.perception.roles import FaceEmbeddings  # noqa: E402
from stylehead.teacher.editing import instruct  # noqa: E402
from stylehead.weights import catalogue, store  # noqa: E402

PROMPT = "a rosa"
MEASURED = {
    "id", "id_rank1", "diversity_id", "diversity", "clip_score", "clip_text", "clip_img",
    "fid", "kid", "cmmd", "dd_mono", "dd_geo",
}  # fmt: skip
"""What can be measured at full scale; the rest needs the embedded world's truth."""


class RandomFaces:
    """In the place of insightface's networks."""

    name = "random faces"

    def __init__(self) -> None:
        self.projection = torch.randn(192, 16, generator=torch.Generator().manual_seed(2))

    def faces(self, images: Tensor) -> FaceEmbeddings:
        vectors = functional.normalize(_small(images) @ self.projection, dim=1)
        return FaceEmbeddings(vectors, torch.ones(len(images), dtype=torch.bool))


class RandomPools:
    """In the place of Inception, whose package needs torchvision."""

    name = "random pools"

    def features(self, images: Tensor) -> Tensor:
        return _small(images)[:, :24]


def _small(images: Tensor) -> Tensor:
    return functional.interpolate(images.float() / 255, size=8, mode="area").flatten(1) - 0.5


@pytest.fixture(scope="module", params=["cpu", "pretend"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "cpu":
        yield "cpu"
        return
    with pretending() as device:
        yield str(device)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the panohead preset may take from the catalogue, tiny and random."""
    root = tmp_path_factory.mktemp("published") / "home"
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(tiny.rendering, depth_resolution=8, depth_resolution_importance=6)
    config = dataclasses.replace(tiny, rendering=rendering, neural_rendering_resolution=8)
    furnish(root, config, write_tiny_teacher, write_tiny_depth_estimator)
    write_tiny_editors(root)
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(root / "teacher" / part, root / "ip2p" / part)
    index = {"_class_name": "StableDiffusionInstructPix2PixPipeline"}
    (root / "ip2p" / "model_index.json").write_text(json.dumps(index))
    register(root, "instruct-pix2pix", root / "ip2p")
    register(root, "clip-vit-b32", write_tiny_clip(root / "clip"))
    register(root, "insightface-buffalo_l", write_recogniser(root / "faces" / "w600k_r50.onnx").parent)
    for name, files in FILES.items():
        folder = root / f"lpips-{name}"
        folder.mkdir()
        torch.save(seeded_trunk(name), folder / files[0])
        torch.save(seeded_heads(name), folder / files[1])
        register(root, f"lpips-{name}", folder)
    return root


@pytest.fixture(autouse=True)
def machine(home: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has the weights and the device, an empty folder, and fewer pictures than usual."""
    monkeypatch.setenv(store.HOME_VARIABLE, str(home))
    monkeypatch.setenv(store.ACCEPT_VARIABLE, "panohead")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(environment, "choose_device", lambda _: place)
    monkeypatch.setattr(showcase, "PREVIEW_SEEDS", (1,))
    monkeypatch.setattr(showcase, "PREVIEW_YAWS_DEG", (0.0,))
    monkeypatch.setattr(showcase, "SHEET_SEEDS", (1,))
    monkeypatch.setattr(showcase, "SHEET_YAWS_DEG", (0.0,))
    monkeypatch.setattr(showcase, "TURNTABLE_STEPS", 1)
    monkeypatch.chdir(tmp_path)
    assert catalogue.local_path("panohead") is not None


def train(*, profile: Any = "default", **settings: Any) -> stylize.StylizeRun:
    given = {
        "prompt": PROMPT, "preset": "panohead", "iterations": 2, "preview_every": 0, "checkpoint_every": 0,
        **settings,
    }  # fmt: skip
    return stylize.stylize(StylizeArguments(settings=given, profile=profile), Silent(), command="a test")


CASES: dict[str, dict[str, Any]] = {
    **{f"ld, {name}": {"profile": name} for name in ("default", "paper", "release")},
    "ld, 8 GB": {"memory": "8"},
    "ld, as on a GPU": {
        "precision": "fp16",
        "vae_precision": "fp16",
        "generator_precision": "fp16",
        "memory": "12",
    },
    "ld, kept heads": {"profile": "paper", "reference_heads": 1},
    **{name: {"method": name} for name in ("sds", "csd", "nada", "styleganfusion", "diffusiongan3d")},
    "styleclip": {"method": "styleclip"},
    "edit": {"method": "edit", "people": 1, "bank_views": 1, "batch": 1, "views": 1, "edit_steps": 1},
}


@pytest.mark.parametrize("case", CASES)
def test_it_trains(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LEAST_IOU", -1.0)  # a random editor paints anything
    if case == "styleclip":
        monkeypatch.setenv(store.ACCEPT_VARIABLE, "panohead,insightface-buffalo_l")
    run = train(**CASES[case])
    assert run.manifest["outcome"] == "finished"
    assert len(run.history) == 2
    assert all(event["non_finite"] == [] for event in run.history)
    assert all(path.is_file() for path in run.files().values())


def draw(*styles: Path, yaw_steps: int, formats: str = "frames", mesh: Path | None = None) -> Path:
    arguments = RenderArguments(
        seed=1, preset="panohead", yaw_steps=yaw_steps, style=styles, format=formats, mesh=mesh,
        mesh_resolution=32, mesh_level=None if mesh is None else 0.1, out=Path("drawn"),
    )  # fmt: skip
    return render.render(arguments, Silent()).write().folder


def test_it_draws_and_measures_what_it_trained() -> None:
    """The paper's method, a render of its style, and the table's columns that need nothing else."""
    run = train()
    assert run.manifest["outcome"] == "finished"
    frames = sorted(draw(run.style, yaw_steps=2).rglob("frame_*.png"))
    assert len(frames) == 2
    assert all(np.asarray(Image.open(frame)).std() > 0 for frame in frames)
    few = EvaluateArguments(runs=(run.folder,), identities=2, yaws="0", preset="panohead")
    found = evaluate.evaluate(few, Silent(), command="a test")
    row = next(row for row in found.table.rows if row.kind == "method")
    assert {"clip_score", "clip_text", "dd_geo", "diversity"} <= {
        name for name, cell in row.cells.items() if isinstance(cell, Number)
    }


def test_it_makes_films_sheets_and_meshes() -> None:
    folder = draw(yaw_steps=2, formats="mp4,webp,gif,frames,sheet", mesh=Path("head.glb"))
    assert {path.suffix for path in folder.rglob("*.*")} >= {".mp4", ".webp", ".gif", ".png", ".jpg"}
    assert Path("head.glb").stat().st_size > 1000


def test_it_morphs_shows_people_and_makes_banks() -> None:
    two = RenderArguments(
        seeds="1,2", preset="panohead", yaw_steps=2, morph=True, format="frames", out=Path("m")
    )
    assert list(render.render(two, Silent()).write().folder.rglob("frame_*.png"))
    drawn = people_sheet.sheet(
        people_sheet.SheetArguments(people=2, views="0,90", preset="panohead", out=Path("sheet.png")),
        Silent(),
    )
    assert np.asarray(Image.open(drawn)).std() > 0
    bank.new_bank(Path("bank"), bank.NewBank(people=2, views=2), Silent(), preset="panohead")
    assert len(list(Path("bank/renders").glob("*.png"))) == 4


def test_it_goes_on_where_it_stopped() -> None:
    first = train(checkpoint_every=1, grid=False)
    again = StylizeArguments(resume=first.folder, settings={"iterations": 3})
    whole = stylize.stylize(again, Silent(), command="a test")
    assert (len(whole.history), whole.manifest["outcome"]) == (3, "finished")


def test_it_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ArcFace, "load", lambda *_: RandomFaces())
    monkeypatch.setattr(Inception, "load", lambda *_: RandomPools())
    monkeypatch.setattr(teacher_pictures, "STEPS", 2)
    run = train()
    weights = Path("faces")
    weights.mkdir()
    arguments = EvaluateArguments(
        runs=(run.folder,), identities=3, yaws="0,30", preset="panohead", reference="teacher",
        faces=str(weights), inception=Path("inception.pth"), force_fid=True,
        depth_model="depth-anything-v2-small",
    )  # fmt: skip
    assert evaluate.foretell_table(arguments, Silent()).data["dry_run"]
    found = evaluate.evaluate(arguments, Silent(), command="a test")
    (row,) = [row for row in found.table.rows if row.kind == "method"]
    why = {name: cell.why for name, cell in row.cells.items() if hasattr(cell, "why")}
    assert {name for name in row.cells if name not in why} >= MEASURED, why


def test_it_measures_edited_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruct, "PUBLISHED_STEPS", 2)
    arguments = EvaluateArguments(
        methods="ip2p", prompts=(PROMPT,), identities=2, yaws="0", preset="panohead"
    )  # fmt: skip
    found = evaluate.evaluate(arguments, Silent(), command="a test")
    row = next(row for row in found.table.rows if row.method == "ip2p")
    assert isinstance(row.cells["clip_score"], Number)


def test_it_inverts(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = GridConfig(heads=2, resolution=6, yaw_step_deg=60)
    monkeypatch.setattr(inverter, "GridConfig", lambda: grid)
    y, x = np.mgrid[:96, :96]
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[(x - 48) ** 2 + (y - 44) ** 2 < 900] = (180, 120, 90)
    Image.fromarray(pixels).save("me.png")
    arguments = InvertArguments(
        photo=Path("me.png"), aligned=True, steps=2, starts=1, pti=True, pti_steps=1, preset="panohead",
        out=Path("me"),
    )  # fmt: skip
    run = invert.invert(arguments, Silent(), command="a test")
    assert run.folder == Path("me")
    assert (run.folder / "latent.npz").is_file()


# ----------------------------------------------------------------------------------------- planted mistakes


@pytest.mark.parametrize("job", ["render", "eval", "invert"])
def test_a_mistake_is_caught(job: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job makes of a head's style vectors stays on the host: CUDA refuses to mix, and so does this."""
    if place == "cpu":
        pytest.skip("on the host nothing can mix")
    from stylehead.generator import PanoHead

    real = PanoHead.planes
    monkeypatch.setattr(PanoHead, "planes", lambda self, ws, **options: real(self, ws.cpu(), **options))
    few = EvaluateArguments(identities=2, yaws="0", preset="panohead")
    jobs = {
        "render": lambda: draw(yaw_steps=1),
        "eval": lambda: evaluate.evaluate(few, Silent(), command="a test"),
        "invert": lambda: test_it_inverts(monkeypatch),
    }
    with pytest.raises(RuntimeError, match="same device"):
        jobs[job]()
