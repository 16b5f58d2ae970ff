"""Styles by name: found, listed, added, removed, drawn; and those that the package brings."""

import json
import shutil
from pathlib import Path

import pytest
from cli_helpers import Run
from PIL import Image
from safetensors.torch import load_file, save_file

from stylehead.errors import UsageError
from stylehead.generator import PanoHead, load_style
from stylehead.jobs import named_styles as styles
from stylehead.jobs.named_styles import PACKAGE_STYLES, find_style, is_path, remake_command
from stylehead.mini.captions import known_words
from stylehead.weights.presets import mini_preset

SMALL = ("render", "--yaw-steps", "2", "--format", "frames")


@pytest.fixture
def package(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one style, the joker."""
    folder = tmp_path / "package"
    folder.mkdir()
    shutil.copy(finished / "style.safetensors", folder / "joker.safetensors")
    monkeypatch.setattr(styles, "PACKAGE_STYLES", folder)
    return folder


@pytest.mark.usefixtures("package")
def test_info_knows_a_style_by_its_name(run: Run) -> None:
    named, at = run("info", "joker", "--json"), run("info", "package/joker.safetensors", "--json")
    assert named.code == at.code == 0
    named_facts, facts = json.loads(named.out), json.loads(at.out)
    assert named_facts.pop("path").endswith(facts.pop("path"))
    assert named_facts == facts
    assert run("info", "jokr").err.splitlines()[0] == "error: jokr does not exist."


@pytest.mark.usefixtures("package")
def test_a_run_that_is_not_there_is_answered_with_the_one_that_may_be_meant(run: Run) -> None:
    outcome = run(*SMALL, "--style", "runs/pixar-3f9c")
    assert outcome.code == 2
    assert "`--style` (=runs/pixar-3f9c) does not exist." in outcome.err
    assert "did you mean runs/pixar?" in outcome.err


def test_a_name_a_file_and_a_run_are_the_same_style(run: Run, package: Path) -> None:
    words = ("joker", "package/joker.safetensors", "runs/pixar", "pixar")
    for number, word in enumerate(words):
        outcome = run(*SMALL, "--style", word, "--out", f"r{number}")
        assert outcome.code == 0, outcome
    pictures = [[path.read_bytes() for path in sorted(Path(f"r{n}").rglob("frame_*.png"))] for n in range(4)]
    assert pictures[0]
    assert all(each == pictures[0] for each in pictures)


@pytest.mark.parametrize("word", ["a/b", "./joker", "joker.safetensors", "~", "..", ".", "~me"])
def test_a_word_with_a_separator_or_a_suffix_is_a_path(word: str) -> None:
    assert is_path(word)


@pytest.mark.parametrize("word", ["joker", "pixar-character-3f9c", "two words"])
def test_every_other_word_is_a_name(word: str) -> None:
    assert not is_path(word)


def test_an_unknown_name_never_becomes_a_path(package: Path) -> None:
    with pytest.raises(UsageError, match="no style `jokr`") as caught:
        find_style("jokr")
    assert caught.value.hint == "did you mean `joker`?"
    Path("mine").mkdir()
    with pytest.raises(UsageError, match="no style `mine`") as caught:
        find_style("mine")
    assert caught.value.hint == "--style ./mine is the file or folder"
    with pytest.raises(UsageError, match="is a folder without a"):
        find_style("./mine")
    with pytest.raises(UsageError, match="does not exist"):
        find_style(Path("joker"))


def test_the_list_says_what_is_there(run: Run, package: Path) -> None:
    outcome = run("styles")
    assert outcome.code == 0, outcome
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert next(iter(lines.items())) == ("NAME", "PROMPT, METHOD, PRESET, WHERE IT IS FROM, SIZE")
    assert lines.keys() == {"NAME", "joker", "pixar"}
    assert lines["joker"].startswith('"Pixar character", ld, mini, package, ')
    assert "--style joker" in outcome.err
    document = json.loads(run("styles", "--json").out)
    assert [(each["name"], each["source"]) for each in document["styles"]] == [
        ("joker", "package"),
        ("pixar", "run"),
    ]
    assert run("styles", "-q").out.split() == ["joker", "pixar"]


def test_an_empty_list_says_how_to_make_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(styles, "PACKAGE_STYLES", tmp_path / "none")
    outcome = run("styles")
    assert (outcome.code, outcome.out) == (0, "")
    assert 'stylehead stylize --prompt "the joker"' in outcome.err


def test_an_added_style_has_a_name_everywhere_until_it_is_removed(
    run: Run, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = run("styles", "add", "runs/pixar", "--name", "toon")
    assert added.code == 0, added
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "yours" in run("styles").out
    assert run(*SMALL, "--style", "toon", "--out", "r").code == 0
    removed = run("styles", "remove", "toon")
    assert removed.code == 0, removed
    assert run("styles", "-q").out.split() == ["joker"]
    assert run(*SMALL, "--style", "toon", "--out", "s").code == 2


def test_a_run_is_named_after_its_prompt_and_a_file_after_itself(run: Run, package: Path) -> None:
    shutil.copy(package / "joker.safetensors", "My Own.safetensors")
    assert run("styles", "add", "runs/pixar").out.startswith("pixar-character  ")
    assert run("styles", "add", "My Own.safetensors").out.startswith("my-own  ")


def test_what_cannot_be_added_or_removed(run: Run, package: Path) -> None:
    Path("odd.safetensors").write_bytes(b"no style")
    for words, sentence in (
        (("add", "runs/pixar", "--name", "joker"), "There is a style `joker` already"),
        (("add", "runs/pixar", "--name", "../joker"), "must be small letters and digits"),
        (("add", "odd.safetensors"), "odd.safetensors is no safetensors file, or its beginning is damaged"),
        (("add", "nowhere.safetensors"), "does not exist"),
        (("remove", "joker"), "You added no style `joker`."),
        (("remove", "pixar"), "You added no style `pixar`."),
    ):
        outcome = run("styles", *words)
        assert outcome.code in (1, 2), words
        assert sentence in outcome.err, words
        assert outcome.out == ""
    assert (package / "joker.safetensors").is_file()
    assert not styles.added_folder().exists() or not list(styles.added_folder().iterdir())


def test_the_sheet_shows_the_untouched_heads_and_every_style(run: Run, package: Path) -> None:
    outcome = run("styles", "--sheet", "styles.png")
    assert outcome.code == 0, outcome
    with Image.open("styles.png") as sheet:
        assert sheet.height > 3 * 100, "untouched, joker and the run"


def foreign(path: Path) -> None:
    """Let a style claim another generator."""
    about = dict(load_style(path).metadata)
    save_file(load_file(path), path, {**about, "stylehead.base": "0" * 64, "stylehead.seed": "3"})


def test_a_style_of_another_generator_is_refused_with_the_command_that_makes_it_again(
    run: Run, package: Path
) -> None:
    foreign(package / "joker.safetensors")
    outcome = run(*SMALL, "--style", "joker", "--out", "r")
    assert outcome.code == 1
    assert "joker.safetensors was trained on another generator (000000000000)" in outcome.err
    again = "stylehead stylize --prompt 'Pixar character' --method ld --seed 3"
    assert f"hint: it was made with the preset mini; to make it again: {again}" in outcome.err
    assert not Path("r").exists()
    sheet = run("styles", "--sheet", "s.png")
    assert "joker was made for another generator and is left out" in sheet.err


def test_damaged_styles_are_listed_as_such(run: Run, package: Path) -> None:
    (package / "joker.safetensors").write_bytes(b"cut")
    outcome = run("styles")
    assert outcome.code == 0
    assert "package, the file is empty or cut short" in outcome.out


def test_what_one_head_changed_has_no_command(run: Run) -> None:
    assert remake_command({"stylehead.prompt": "me", "stylehead.method": "pti"}) is None
    assert remake_command({}) is None


def test_styles_of_the_package_belong_to_the_embedded_generator() -> None:
    """Whatever is in the folder: it loads, fits, is small, and says what it is and under which terms."""
    found = sorted(PACKAGE_STYLES.glob("*.safetensors"))
    generator = PanoHead.load(mini_preset().require_generator()) if found else None
    for path in found:
        style = load_style(path)
        assert generator is not None
        style.apply(generator)
        about = style.metadata
        assert known_words(about["stylehead.prompt"])
        assert about["stylehead.preset"] == "mini"
        assert about["stylehead.licence"]
    assert sum(path.stat().st_size for path in found) <= 9e6


def test_from_python_a_style_goes_by_its_name(run: Run, package: Path) -> None:
    import stylehead

    film = stylehead.render(style="joker", yaw_steps=1)
    plain = stylehead.render(yaw_steps=1)
    assert (film.images != plain.images).any()
    with pytest.raises(UsageError, match="no style"):
        stylehead.render(style="nobody", yaw_steps=1)
