"""Every command in the documentation is one that there is, and those of the README run."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from cli_helpers import Run
from PIL import Image, ImageOps

from stylehead.bank import gate
from stylehead.cli.app import app
from stylehead.inversion import inverter as invert_module
from stylehead.inversion.search import GridConfig

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for folder in (ROOT, ROOT / "examples", ROOT / "stylehead")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
FETCHED = (
    "weights fetch", "weights import", "--preset panohead", "--editor ", "--device cuda", "--methods",
    "sweep",
)  # fmt: skip
"""Marks of commands that need what is not in the package, train for long, or start other processes."""
FAST = ("--iterations", "4", "--checkpoint-every", "2", "--preview-every", "2")
SMALL: dict[str, tuple[str, ...]] = {
    "stylize": FAST,
    "render": ("--yaw-steps", "2"),
    "invert": ("--aligned", "--steps", "2", "--starts", "1"),  # the tiny world has no eye for faces
    "eval": ("--identities", "2", "--yaws", "0,30"),
    "bank new": ("--people", "2", "--views", "2"),
}
"""What makes a command small; words that come later win."""


FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def shell(page: Path) -> list[str]:
    """The lines of blocks without a language."""
    blocks = FENCED.findall(page.read_text(encoding="utf-8"))
    return [line for language, block in blocks if not language for line in block.splitlines()]


def code(page: Path) -> Iterator[str]:
    """Yield the lines of blocks without a language, and what is set as code in the text and in tables."""
    yield from shell(page)
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    yield from (match.replace("\n", " ") for match in re.findall(r"`([^`]+)`", text))


def commands(page: Path) -> list[str]:
    """The commands of a page, in order, without what stands in place of a name."""
    found = []
    for line in code(page):
        for part in re.split(r"&&|;", re.split(r" #| >", line)[0]):
            words = part.strip().removeprefix("$ ")
            if words.startswith("stylehead ") and "..." not in words:
                found.append(words)
    return list(dict.fromkeys(found))


def resolve(words: list[str]) -> tuple[str, Any, list[str]]:
    """Find the command that words name: its name, itself, and the words after it."""
    group: Any = typer.main.get_command(app)
    names: list[str] = []
    context = group.make_context("stylehead", [], resilient_parsing=True)
    while words and hasattr(group, "get_command"):
        group = group.get_command(context, words[0])
        assert group is not None, f"there is no command {words[0]}"
        names.append(words.pop(0))
    return " ".join(names), group, words


EVERY = [(page, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(
    ("page", "line"), EVERY, ids=[f"{page.relative_to(ROOT)}: {line}" for page, line in EVERY]
)
def test_a_command_in_the_documentation_is_one_that_there_is(page: Path, line: str) -> None:
    _, command, words = resolve(shlex.split(line.replace("COMMAND", "stylize"))[1:])
    values = [re.sub(r"^(TEXT|FILE|NAME|PHOTO|RUN|FOLDER)$", "x", word) for word in words]
    values = ["7" if word == "N" else word for word in values]
    takes_values = {
        name for item in command.params if not getattr(item, "is_flag", True) for name in item.opts
    }
    if values and values[-1] in takes_values:
        values.append("7")  # the text speaks of the option
    if hasattr(command, "get_command"):
        return  # a group by itself shows its help
    if {"--help", "--help-all"} & set(values):
        values = [word for word in values if not word.startswith("--help")]
    command.make_context("x", values or ["--help"], resilient_parsing=not values)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
            }
            assert anchor in slugs, link


def test_the_readme_shows_commands_and_this_sees_them() -> None:
    shown = commands(ROOT / "README.md")
    assert len(shown) > 15
    assert 'stylehead stylize --prompt "Pixar character"' in shown
    with pytest.raises(Exception, match="No such option"):
        test_a_command_in_the_documentation_is_one_that_there_is(ROOT, "stylehead render --sed 4")
    with pytest.raises(AssertionError, match="no command"):
        test_a_command_in_the_documentation_is_one_that_there_is(ROOT, "stylehead rendre")


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        invert_module, "GridConfig", lambda: GridConfig(heads=2, resolution=6, yaw_step_deg=60)
    )
    monkeypatch.setattr(gate, "LEAST_IOU", -1.0)
    monkeypatch.setattr(gate, "BETTER_FIT", 1.0)
    monkeypatch.setattr(gate, "MOST_BETTER_FIT", 2.0)


def runnable() -> list[str]:
    """Commands of the README's blocks that need nothing but the package."""
    lines = {line.partition(" #")[0].strip() for line in shell(ROOT / "README.md")}
    return [
        line
        for line in commands(ROOT / "README.md")
        if line in lines and not any(mark in line for mark in FETCHED)
    ]


def edit_everything(bank: Path) -> None:
    """What a reader does by hand: negatives of all renders."""
    for path in sorted((bank / "renders").glob("*.png")):
        with Image.open(path) as picture:
            ImageOps.invert(picture.convert("RGB")).save(bank / "edited" / path.name)


@pytest.mark.usefixtures("_short")
def test_the_commands_of_the_readme_run_one_after_the_other(measure: Run) -> None:
    measure("render", "--yaw-steps", "1", "--format", "frames", "--out", "photo")
    Image.open("photo/frames/frame_000.png").resize((96, 96)).save("photo.jpg")
    shutil.copy("photo.jpg", "me.png")
    for line in runnable():
        made = sorted(Path("runs").glob("pixar-character*")) or [Path("runs/none")]
        words = [re.sub(r"runs/pixar-character-[0-9a-f]{4}", str(made[0]), w) for w in shlex.split(line)[1:]]
        name, _, _ = resolve(list(words))
        outcome = measure(*words, *SMALL.get(name, ()))
        assert outcome.code == 0, f"{line}\n{outcome}"
        if name == "bank new":
            edit_everything(Path("bank"))


SMALLER = {
    '"Pixar character"': '"Pixar"',  # the tiny teacher reads a few letters
    "iterations=20": "iterations=1",
    "yaw_steps=36": "yaw_steps=2",
    "turntable(36)": "turntable(2)",
    "torch.randn(1, 64)": "torch.randn(1, generator.config.z_dim)",
}


def test_the_python_of_the_readme_runs(run: Run, world: Path) -> None:
    """In the tiny world, with small numbers."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = [block for language, block in FENCED.findall(text) if language == "python"]
    weights = "stylehead/mini/weights/generator.safetensors"
    for usual, small in {**SMALLER, weights: str(world / "generator.safetensors")}.items():
        assert usual in code, usual
        code = code.replace(usual, small)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    size = names["generator"].config.img_resolution
    assert names["film"].images.shape == (2, size, size, 3)
    assert Path("head.mp4").is_file()
    assert names["pixels"].dtype == torch.uint8
    assert names["pixels"].shape == (2, 3, size, size)
