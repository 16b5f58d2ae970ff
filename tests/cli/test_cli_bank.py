"""Edit, then regress from the command line, over a tiny random world whose gate lets random heads pass."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import Run
from PIL import Image
from safetensors import safe_open

from stylehead.bank import gate
from stylehead.generator import PanoHead
from stylehead.runs import _OWN

PIXAR = ("stylize", "--prompt", "Pixar character", "--method", "edit", "--preview-every", "0")
SMALL = ("--people", "2", "--bank-views", "2", "--edit-steps", "1", "--learning-rate-end", "1")


@pytest.fixture(autouse=True)
def _random_heads_have_no_outline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LEAST_IOU", -1.0)
    monkeypatch.setattr(gate, "BETTER_FIT", 1.0)
    monkeypatch.setattr(gate, "MOST_BETTER_FIT", 2.0)


def style(run: str) -> dict[str, torch.Tensor]:
    with safe_open(f"{run}/style.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_a_run_makes_and_fills_its_bank_and_goes_on_as_a_straight_one(measure: Run) -> None:
    words = (*PIXAR, *SMALL, "--keep-checkpoints", "1")
    outcome = measure(*words, "--iterations", "2", "--out", "runs/longer", "--json")
    assert outcome.code == 0, outcome
    manifest = json.loads(outcome.out)["manifest"]
    assert manifest["config"]["method"] == "edit"
    assert manifest["teacher"] == {"editor": "mini/ip2p"}
    assert "mini/ip2p/unet/diffusion_pytorch_model.safetensors" in [
        file["id"] for file in manifest["weights"]
    ]
    bank = Path("runs/longer/bank")
    assert len(list((bank / "edited").iterdir())) == 4
    edit = json.loads((bank / "bank.json").read_text())["edits"][0]
    assert (edit["editor"], edit["prompt"]) == ("InstructPix2Pix", "Pixar character")
    shutil.rmtree(bank / "edited")  # as if it had been stopped while editing
    assert measure(*PIXAR, *SMALL, "--iterations", "3", "--out", "runs/straight").code == 0
    goes_on = measure("stylize", "--resume", "runs/longer", "--iterations", "3")
    assert goes_on.code == 0, goes_on
    one, other = style("runs/longer"), style("runs/straight")
    assert one.keys() == other.keys()
    assert any("noise_const" in name for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_own_pictures_teach_a_style_of_any_name(measure: Run) -> None:
    assert measure(*PIXAR, *SMALL, "--iterations", "1", "--out", "runs/first").code == 0
    shutil.copytree("runs/first/bank", "mine")
    for path in sorted(Path("mine/edited").iterdir()):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path.with_suffix(".jpg"))
        path.unlink()
    words = ("stylize", "--prompt", "Tante Erna, gestrickt", "--method", "edit", "--bank", "mine")
    outcome = measure(*words, "--iterations", "1", "--out", "runs/mine", "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["manifest"]["teacher"] == {}
    assert not Path("runs/mine/bank").exists()
    assert "4 of 4 edits kept" in outcome.err


def test_the_editors_licence_travels_with_the_style(measure: Run) -> None:
    assert measure(*PIXAR, *SMALL, "--iterations", "1", "--out", "runs/first").code == 0
    manifest = Path("runs/first/bank/bank.json")
    manifest.write_text(manifest.read_text().replace('"licence": "', '"licence": "research only, '))
    words = (*PIXAR, "--bank", "runs/first/bank", "--iterations", "1", "--out", "runs/second")
    assert measure(*words).code == 0
    with safe_open("runs/second/style.safetensors", "pt") as file:
        assert "InstructPix2Pix: research only" in file.metadata()["stylehead.licence"]
    assert "research only" in Path("runs/second/README.md").read_text()


def test_banks_that_cannot_teach_are_one_sentence(measure: Run, other_generator: Path) -> None:
    assert measure(*PIXAR, *SMALL, "--iterations", "1", "--out", "runs/first").code == 0
    bank = Path("runs/first/bank")

    def refused(folder: Path | str) -> str:
        outcome = measure(*PIXAR, "--bank", folder, "--iterations", "1", "--out", "runs/none")
        assert outcome.code != 0, outcome
        assert not Path("runs/none").exists()
        assert "Traceback" not in outcome.err
        return outcome.err

    assert "is not a bank" in refused("nowhere")
    empty = Path(shutil.copytree(bank, "empty"))
    shutil.rmtree(empty / "edited")
    assert "has no edits yet" in refused(empty)
    damaged = Path(shutil.copytree(bank, "damaged"))
    (damaged / "bank.json").write_text("{")
    assert "is damaged" in refused(damaged)
    foreign = Path(shutil.copytree(bank, "foreign"))
    text = (foreign / "bank.json").read_text()
    (foreign / "bank.json").write_text(text.replace(json.loads(text)["generator"], "0" * 64))
    assert "another generator" in refused(foreign)
    outcome = measure(*PIXAR, "--editor", "empty", "--iterations", "1", "--out", "runs/no-editor")
    assert outcome.code != 0
    assert "no editor" in outcome.err
    assert not Path("runs/no-editor").exists()


def test_a_dry_run_counts_the_edits(measure: Run) -> None:
    outcome = measure(*PIXAR, *SMALL, "--dry-run")
    assert outcome.code == 0, outcome
    assert "2 people x" in outcome.out
    assert "mini/ip2p" in outcome.out


# ---------------------------------------------------------------------------------- new, fill, check by hand


def test_a_bank_by_hand_is_made_filled_checked_and_learned_from(measure: Run) -> None:
    made = measure("bank", "new", "--people", "2", "--views", "2", "--out", "bank", "--json")
    assert made.code == 0, made
    assert json.loads(made.out)["views"] == 4
    filled = measure("bank", "fill", "bank", "--prompt", "the joker", "--edit-steps", "1", "--json")
    assert filled.code == 0, filled
    assert json.loads(filled.out)["missing"] == 0
    again = measure("bank", "fill", "bank", "--prompt", "a werewolf")
    assert again.code == 2
    assert "filled for" in again.err
    checked = measure("bank", "check", "bank", "--json")
    assert checked.code == 0, checked
    facts = json.loads(checked.out)
    assert facts["kept"] == 4
    with Image.open(facts["sheet"]) as sheet:
        assert sheet.size[0] > 4 * 128
    words = ("stylize", "--bank", "bank", "--prompt", "the joker")  # no other method learns from a bank
    trained = measure(*words, "--iterations", "1", "--out", "runs/joker", "--json")
    assert trained.code == 0, trained
    assert json.loads(trained.out)["manifest"]["config"]["method"] == "edit"


def test_pictures_of_ones_own_fill_a_bank(measure: Run) -> None:
    assert measure("bank", "new", "--people", "1", "--views", "3", "--out", "bank").code == 0
    Path("mine").mkdir()
    for name, suffix in (("0000_0", "webp"), ("0000_2", "jpg")):
        image = Image.open(f"bank/renders/{name}.png").convert("RGB")
        Image.eval(image, lambda value: 255 - value).resize((300, 300)).save(f"mine/{name}.{suffix}")
    Path("mine/notes.txt").write_text("by hand")
    words = ("bank", "fill", "bank", "--prompt", "upside down", "--editor", "mine")
    outcome = measure(*words, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["missing"] == 1
    assert "2 pictures taken; 1 views have none" in outcome.err
    assert "1 files in mine" in outcome.err
    checked = measure("bank", "check", "bank", "--out", "sheet.png")
    assert checked.code == 0, checked
    assert "2 of 2 edits kept; 1 of 3 views without an edit" in checked.out
    assert Path("sheet.png").is_file()


def test_an_inverted_head_sits_in_a_bank(measure: Run, world: Path) -> None:
    generator = PanoHead.load(world / "generator.safetensors")
    np.savez("me.npz", w=np.ones((1, generator.num_ws, generator.config.w_dim), np.float32))
    outcome = measure("bank", "new", "--people", "0", "--latent", "me.npz", "--views", "1", "--out", "bank")
    assert outcome.code == 0, outcome
    assert json.loads(Path("bank/bank.json").read_text())["people"][0]["source"] == "me"


def test_what_bank_commands_refuse(measure: Run) -> None:
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    for words, code, text in (
        (("new", "--out", "full"), 2, "is not empty"),
        (("new", "--people", "0", "--out", "nobody"), 2, "at least one person"),
        (("fill", "full", "--prompt", "x"), 2, "is not a bank"),
        (("check", "full"), 2, "is not a bank"),
    ):
        outcome = measure("bank", *words)
        assert (outcome.code, text in outcome.err) == (code, True), outcome
    assert measure("bank", "new", "--people", "1", "--views", "1", "--out", "bank").code == 0
    again = measure("bank", "new", "--people", "1", "--views", "1", "--out", "bank")
    assert (again.code, "bank holds a bank already." in again.err) == (2, True), again
    assert "no edits yet" in measure("bank", "check", "bank").err
    assert (
        "no picture of this bank" in measure("bank", "fill", "bank", "--prompt", "x", "--editor", "full").err
    )
    assert [path.name for path in Path("full").iterdir()] == ["thesis.txt"]


def test_a_bank_is_edited_anew_and_a_stopped_run_ends_as_a_straight_one(measure: Run) -> None:
    words = (*PIXAR, *SMALL, "--refresh", "1", "--keep-checkpoints", "1")
    outcome = measure(*words, "--iterations", "4", "--out", "runs/straight")
    assert outcome.code == 0, outcome
    edited = [path.name for path in Path("runs/straight/bank/edited").glob("*.round1.png")]
    assert len(edited) == 4
    assert all(_OWN.fullmatch(f"bank/edited/{name}") for name in edited), "overwriting removes them"
    assert measure(*words, "--iterations", "3", "--out", "runs/longer").code == 0  # anew after step 2, too
    assert measure("stylize", "--resume", "runs/longer", "--iterations", "4").code == 0
    one, other = style("runs/straight"), style("runs/longer")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_editor_that_cannot_start_from_a_picture_edits_once(
    measure: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stylehead.jobs import banking

    class Once:
        name, licence = "Once", ""

        def edit(self, pictures_01: torch.Tensor, instruction: str, **_: object) -> torch.Tensor:
            return 1 - pictures_01

    monkeypatch.setattr(banking, "open_job_editor", lambda *_: Once())
    outcome = measure(*PIXAR, *SMALL, "--iterations", "2", "--refresh", "1", "--out", "runs/r")
    assert (outcome.code, "Once cannot start from a picture" in outcome.err) == (1, True), outcome
