"""A bank on the disk: made, filled, stopped, given back by its user, and damaged."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import file_events
import numpy as np
import pytest
import torch
from bank_helpers import with_heads
from PIL import Image
from torch import Tensor

from stylehead.bank import (
    MANIFEST,
    Bank,
    Filling,
    Sitter,
    check_bank,
    create_bank,
    fill_bank,
    import_pictures,
)
from stylehead.bank.create import sitters_from_seeds, view_angles
from stylehead.bank.fill import locked, missing_views
from stylehead.bank.review import OWN
from stylehead.errors import JobError, MissingError, StyleheadError, UsageError
from stylehead.files import write_json
from stylehead.folders import PART, REPLACES, hold
from stylehead.generator import PanoHead
from stylehead.images import to_pixels
from stylehead.inversion.latents import save_latent


class Inverter:
    """Edits by inverting colours; counts people, and may be stopped after some."""

    name, licence = "Inverter", "CC0"

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[tuple[str, int, str]] = []
        self.stop_after = stop_after

    def edit(self, pictures_01: Tensor, instruction: str, *, seed: int, negative: str = "") -> Tensor:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((instruction, seed, negative))
        return 1 - pictures_01


def tree(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# ------------------------------------------------------------------------------------------------- making


def test_renders_are_those_of_the_generator(bank: Bank, generator: PanoHead) -> None:
    ws, cameras = bank.latents(generator), bank.cameras()
    assert ws.shape == (3, generator.num_ws, generator.config.w_dim)
    assert cameras.shape == (3, 4, 25)
    out = generator.synthesis(ws[1:2], cameras[1, 2:3], background="white")
    view = bank.views_of(1)[2]
    assert np.array_equal(bank.render(view), to_pixels(out.image)[0])
    assert bank.mask(view).shape == bank.render(view).shape[:2]
    batch = (bank.renders_01([view])[0] * 255).round().byte().permute(1, 2, 0)
    assert np.array_equal(batch.numpy(), bank.render(view))


def test_equal_banks_are_equal_bytes(made: Bank, generator: PanoHead, tmp_path: Path) -> None:
    people = sitters_from_seeds(generator, 3, seed=1, psi=1.0)
    again = create_bank(tmp_path / "again", generator, people, views=4, preset="tiny")
    assert {n: b for n, b in tree(again.folder).items() if not n.startswith("latents")} == {
        n: b for n, b in tree(made.folder).items() if not n.startswith("latents")
    }  # npz files carry the time of writing


@pytest.mark.parametrize("count", [1, 2, 4, 5, 8, 12])
def test_half_of_the_views_see_the_face(count: int) -> None:
    for seed in range(5):
        angles = view_angles(count, rng=np.random.RandomState(seed))
        assert len(angles) == count
        assert abs(angles[0][0]) <= 10
        assert sum(abs(yaw) <= 65 for yaw, _ in angles) == -(-count // 2)
        assert all(abs(pitch) <= 15 for _, pitch in angles)


def test_a_head_of_ones_own_sits_beside_others(generator: PanoHead, tmp_path: Path) -> None:
    own = torch.full((1, generator.num_ws, generator.config.w_dim), 0.5)
    people = [*sitters_from_seeds(generator, 1, seed=0, psi=1.0), Sitter(own, source="me.npz")]
    bank = create_bank(tmp_path / "bank", generator, people, views=1)
    assert torch.equal(bank.latents(generator)[1:], own)
    assert [person.source for person in bank.manifest.people] == [None, "me.npz"]


def test_a_bank_needs_an_empty_place(generator: PanoHead, tmp_path: Path) -> None:
    people = sitters_from_seeds(generator, 1, seed=0, psi=1.0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for folder in (
        tmp_path / "full",
        tmp_path / "full" / "thesis.txt",
        tmp_path / "full" / "thesis.txt" / "x",
    ):
        with pytest.raises(UsageError):
            create_bank(folder, generator, people, views=1)
    with pytest.raises(UsageError, match="at least one"):
        create_bank(tmp_path / "none", generator, [], views=1)
    assert tree(tmp_path) == {"full/thesis.txt": b"mine"}


def test_a_killed_making_leaves_nothing(generator: PanoHead, tmp_path: Path) -> None:
    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    people = sitters_from_seeds(generator, 2, seed=0, psi=1.0)
    with pytest.raises(KeyboardInterrupt):
        create_bank(tmp_path / "bank", generator, people, views=1, done=stop)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ filling


def test_a_bank_that_was_left_half_moved_is_whole_when_it_is_opened(made: Bank, tmp_path: Path) -> None:
    """After the commit only moving is left to do, which the kill kept it from."""
    folder = tmp_path / "half"
    shutil.copytree(made.folder, folder / PART)
    os.replace(folder / PART / "bank.json", folder / "bank.json")
    write_json(folder / PART / REPLACES, {"manifest": "bank.json", "old": []})
    whole = sorted(path.relative_to(made.folder) for path in made.folder.rglob("*"))
    Bank.open(folder)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == whole


def test_an_editor_fills_a_bank(bank: Bank) -> None:
    editor = Inverter()
    filled = fill_bank(bank, editor, Filling("a negative", "invert it", "grey", seed=2))
    assert editor.asked == [("invert it", 20_014 + person, "grey") for person in range(3)]
    assert missing_views(filled) == []
    assert Bank.open(bank.folder).manifest == filled.manifest
    edit = filled.manifest.edits[5]
    assert (edit.editor, edit.licence, edit.prompt, edit.view) == ("Inverter", "CC0", "a negative", "0001_1")
    edited = np.asarray(Image.open(bank.folder / edit.file))
    assert np.abs(edited.astype(int) + bank.render(bank.views[5]) - 255).max() <= 1


def test_a_stopped_filling_goes_on_and_ends_as_if_it_never_stopped(
    bank: Bank, made: Bank, tmp_path: Path
) -> None:

    shutil.copytree(made.folder, tmp_path / "straight")
    straight = fill_bank(Bank.open(tmp_path / "straight"), Inverter(), Filling("x"))
    with pytest.raises(KeyboardInterrupt):
        fill_bank(bank, Inverter(stop_after=1), Filling("x"))
    assert len(Bank.open(bank.folder).manifest.edits) == 4
    second = Inverter()
    fill_bank(Bank.open(bank.folder), second, Filling("x"))
    assert len(second.asked) == 2
    assert tree(bank.folder) == tree(straight.folder)


def test_what_is_there_is_not_edited_again(bank: Bank) -> None:
    (bank.folder / "edited").mkdir(exist_ok=True)
    own = bank.folder / "edited" / "0001_2.webp"
    Image.fromarray(255 - bank.render(bank.views[6])).save(own, lossless=True)
    before = own.read_bytes()
    filled = fill_bank(bank, Inverter(), Filling("x"))
    assert own.read_bytes() == before
    assert len(filled.manifest.edits) == 11
    assert filled.record_of(own) is None


def test_a_bank_has_one_prompt(bank: Bank) -> None:
    fill_bank(bank, Inverter(), Filling("x"))
    with pytest.raises(UsageError, match='filled for "x"'):
        fill_bank(bank, Inverter(), Filling("y"))
    with pytest.raises(UsageError, match="empty"):
        fill_bank(bank, Inverter(), Filling("  "))


def test_two_processes_do_not_fill_one_bank(bank: Bank) -> None:
    with locked(bank), pytest.raises(JobError, match="Another process"):
        fill_bank(bank, Inverter(), Filling("x"))


def test_an_editor_that_makes_no_numbers_is_stopped(bank: Bank) -> None:
    class Broken(Inverter):
        def edit(self, pictures_01: Tensor, instruction: str, *, seed: int, negative: str = "") -> Tensor:
            return pictures_01 * torch.nan

    with pytest.raises(JobError, match="not finite"):
        fill_bank(bank, Broken(), Filling("x"))
    assert list((bank.folder / "edited").iterdir()) == []


# ------------------------------------------------------------------------------------------- own pictures


def give_back(bank: Bank, folder: Path, **kinds: str) -> Path:
    """Write inverted renders into a folder, each view in the format named for it."""
    folder.mkdir()
    for view, kind in zip(bank.views, kinds.values(), strict=False):
        image = Image.fromarray(255 - bank.render(view))
        if kind == "alpha":
            image.putalpha(Image.fromarray(np.tri(len(bank.mask(view)), dtype=np.uint8) * 255))
            image.save(folder / f"{view.name}.png")
        elif kind == "large":
            image.resize((200, 200)).save(folder / f"{view.name}.png")
        elif kind != "missing":
            image.save(folder / f"{view.name}.{kind}")
    return folder


def test_pictures_of_any_kind_are_taken_and_missing_ones_counted(bank: Bank, tmp_path: Path) -> None:
    kinds = {str(i): kind for i, kind in enumerate(["png", "jpg", "webp", "alpha", "large", "missing"])}
    folder = give_back(bank, tmp_path / "mine", **kinds)
    (folder / "notes.txt").write_text("by hand")
    filled, found = import_pictures(bank, folder, "anything at all")
    assert found == (5, 7, 1)
    checked = check_bank(filled)
    assert len(checked.edits) == 5
    assert checked.missing == 7
    sizes = {edit.pixels.shape for edit in checked.edits if edit.pixels is not None}
    assert sizes == {bank.render(bank.views[0]).shape}


def test_several_edits_of_a_view_are_told_by_their_names(bank: Bank, tmp_path: Path) -> None:
    folder = give_back(bank, tmp_path / "mine", first="png")
    (folder / "0000_0.second.png").write_bytes((folder / "0000_0.png").read_bytes())
    (folder / "0000_01.png").write_bytes((folder / "0000_0.png").read_bytes())
    filled, found = import_pictures(bank, folder, "x")
    assert found == (2, 11, 1)
    assert [path.name for path in filled.edited_files(bank.views[0])] == ["0000_0.png", "0000_0.second.png"]


def test_edits_put_into_the_bank_by_hand_are_found(bank: Bank) -> None:
    Image.fromarray(255 - bank.render(bank.views[0])).save(bank.folder / "edited" / "0000_0.jpeg")
    assert [view for view, _ in bank.all_edits()] == [0]


def test_damaged_and_foreign_folders_are_refused_whole(bank: Bank, tmp_path: Path) -> None:
    folder = give_back(bank, tmp_path / "mine", a="png", b="png")
    (folder / "0000_2.png").write_bytes(b"no picture")
    with pytest.raises(JobError):
        import_pictures(bank, folder, "x")
    with pytest.raises(UsageError, match="no folder"):
        import_pictures(bank, tmp_path / "nothing", "x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="no picture of this bank"):
        import_pictures(bank, tmp_path / "other", "x")
    assert list((bank.folder / "edited").iterdir()) == []


def test_oblong_pictures_are_refused(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "mine" / "0000_0.png")
    with pytest.raises(JobError, match="square"):
        import_pictures(bank, tmp_path / "mine", "x")


# ------------------------------------------------------------------------------------------------- review


class Greener:
    """Paints what is not white green."""

    name, licence = "Greener", "CC0"

    def edit(self, pictures_01: Tensor, instruction: str, *, seed: int, negative: str = "") -> Tensor:
        head = pictures_01.min(dim=1, keepdim=True).values < 0.99
        return torch.where(head, torch.tensor([0.1, 0.6, 0.2]).reshape(1, 3, 1, 1), pictures_01)


def test_edits_of_heads_are_kept_and_say_who_made_them(bank: Bank) -> None:
    checked = check_bank(fill_bank(with_heads(bank), Greener(), Filling("green")))
    assert checked.summary() == "12 of 12 edits kept."
    assert checked.editors() == {"Greener": "CC0"}
    index, picture = checked.pictures()[3]
    assert index == 3
    assert picture.shape == (3, bank.manifest.resolution, bank.manifest.resolution)
    path = bank.folder / "edited" / "0002_3.png"
    Image.fromarray(np.asarray(Image.open(path)) // 2 * 2).save(path)
    assert check_bank(checked.bank).editors() == {"Greener": "CC0", OWN: ""}


def test_pictures_in_each_others_places_are_refused(bank: Bank) -> None:
    filled = fill_bank(with_heads(bank), Greener(), Filling("green"))
    one, other = (bank.folder / "edited" / f"0000_{side}.png" for side in (0, 1))
    one.rename(bank.folder / "x.png")
    other.rename(one)
    (bank.folder / "x.png").rename(other)
    checked = check_bank(filled)
    assert [edit.view for edit in checked.edits if not edit.verdict.kept] == [0, 1]


def test_unchanged_and_unreadable_pictures_are_dropped_and_counted(bank: Bank) -> None:
    edited = bank.folder / "edited"
    Image.fromarray(bank.render(bank.views[0])).save(edited / "0000_0.png")
    (edited / "0000_1.jpg").write_bytes(b"\xff\xd8 cut short")
    checked = check_bank(bank)
    assert checked.dropped() == {"not edited": 1, "cannot be read": 1}
    assert checked.summary() == (
        "0 of 2 edits kept; 1 not edited; 1 cannot be read; 10 of 12 views without an edit."
    )
    with pytest.raises(JobError, match="None of the 2 edits"):
        checked.require_edits()


def test_an_empty_bank_says_how_to_fill_it(bank: Bank) -> None:
    with pytest.raises(UsageError, match="no edits yet"):
        check_bank(bank).require_edits()


def test_a_render_that_was_edited_in_place_is_noticed(bank: Bank) -> None:
    Image.fromarray(255 - bank.render(bank.views[0])).save(bank.render_path(bank.views[0]))
    with pytest.raises(JobError, match="was changed") as error:
        check_bank(bank)
    assert "edited" in str(error.value.hint)


# ------------------------------------------------------------------------------------------------- damage


def test_another_generator_is_refused(bank: Bank, generator: PanoHead) -> None:
    other = PanoHead(generator.config).eval()
    with pytest.raises(JobError, match="another generator"):
        bank.latents(other)


def test_changed_and_missing_files_are_named(bank: Bank, generator: PanoHead) -> None:
    latent = bank.folder / "latents" / "0001.npz"
    save_latent(latent, torch.zeros(1, generator.num_ws, generator.config.w_dim), None)
    with pytest.raises(JobError, match=r"0001\.npz was changed"):
        bank.latents(generator)
    latent.unlink()
    with pytest.raises(MissingError, match=r"0001\.npz"):
        bank.latents(generator)
    (bank.folder / "masks" / "0000_0.png").unlink()
    with pytest.raises(MissingError, match="masks"):
        check_bank(bank)


def test_a_folder_that_is_no_bank(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match="is not a bank"):
            Bank.open(folder)


DAMAGE = {
    "no JSON": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "no people": lambda text: changed(text, people=[]),
    "people that are numbers": lambda text: changed(text, people=[1, 2, 3]),
    "views that are none": lambda text: changed(text, views=None),
    "one view fewer": lambda text: changed(text, views=json.loads(text)["views"][:-1]),
    "views in disorder": lambda text: changed(text, views=json.loads(text)["views"][::-1]),
    "a short camera": lambda text: changed_view(text, camera=[1.0]),
    "a camera of words": lambda text: changed_view(text, camera=["x"] * 25),
    "a camera that is not finite": lambda text: changed_view(text, camera=[1e999] * 25),
    "a name that climbs": lambda text: changed_view(text, name="../../etc/passwd"),
    "a name that is empty": lambda text: changed_view(text, name=""),
    "a name twice": lambda text: changed_view(text, name="0000_1"),
    "no hash": lambda text: changed_view(text, render_sha256=None, drop="render_sha256"),
    "an edit elsewhere": lambda text: changed(text, edits=[edit_record(file="../x.png")]),
    "an edit of nobody": lambda text: changed(text, edits=[edit_record(view="9999_9")]),
    "an edit with a wrong hash": lambda text: changed(text, edits=[edit_record(sha256="zz")]),
    "a resolution of nought": lambda text: changed(text, resolution=0),
    "a resolution of words": lambda text: changed(text, resolution="large"),
}


def changed(text: str, **fields: object) -> str:
    return json.dumps({**json.loads(text), **fields})


def changed_view(text: str, drop: str | None = None, **fields: object) -> str:
    views = json.loads(text)["views"]
    views[0].update(fields)
    if drop is not None:
        del views[0][drop]
    return changed(text, views=views)


def edit_record(**fields: object) -> dict[str, object]:
    record = {
        "file": "edited/0000_0.png", "view": "0000_0", "sha256": "0" * 64, "editor": "e", "licence": "l",
        "prompt": "p", "instruction": "i", "seed": 1,
    }  # fmt: skip
    return {**record, **fields}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_manifest_is_one_sentence(bank: Bank, name: str) -> None:
    path = bank.folder / MANIFEST
    path.write_text(DAMAGE[name](path.read_text()))
    with pytest.raises(StyleheadError) as error:
        Bank.open(bank.folder)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_what_a_later_version_adds_is_passed_over(bank: Bank) -> None:
    path = bank.folder / MANIFEST
    path.write_text(changed_view(changed(path.read_text(), mood="fine"), mood="fine"))
    assert Bank.open(bank.folder).manifest == bank.manifest


def test_a_manifest_reads_back_as_it_was_written(bank: Bank) -> None:
    manifest = dataclasses.replace(bank.manifest, prompt="Füchsin")
    manifest.write(bank.folder)
    assert Bank.open(bank.folder).manifest == manifest


@pytest.mark.parametrize("kind", ["full disk", pytest.param("interrupt", marks=pytest.mark.slow)])
def test_a_failure_at_any_file_event_of_a_filling_costs_nothing(
    bank: Bank, made: Bank, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_events, "_fsync", lambda descriptor: None)
    shutil.copytree(made.folder, tmp_path / "straight")

    def fill() -> Bank:
        return fill_bank(Bank.open(bank.folder), Inverter(), Filling("x"))

    straight = fill_bank(Bank.open(tmp_path / "straight"), Inverter(), Filling("x"))
    events = file_events.count_events(fill, bank.folder)
    for number in range(1, events + 1, 3):
        shutil.rmtree(bank.folder)
        shutil.copytree(made.folder, bank.folder)
        file_events.fails_at(number, kind, fill, bank.folder)
        again = fill()
        assert tree(bank.folder) == tree(straight.folder)
        assert all(again.record_of(path) for _, path in again.all_edits())


def test_a_failure_at_any_file_event_of_a_making_leaves_nothing(
    generator: PanoHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_events, "_fsync", lambda descriptor: None)
    people = sitters_from_seeds(generator, 1, seed=0, psi=1.0)

    def make(name: str) -> Bank:
        return create_bank(tmp_path / "banks" / name, generator, people, views=1)

    (tmp_path / "banks").mkdir()
    events = file_events.count_events(lambda: make("whole"), tmp_path / "banks")
    for number in range(1, events + 1):
        if file_events.fails_at(number, "full disk", lambda: make("other"), tmp_path / "banks"):
            with hold(tmp_path / "banks" / "other"):
                pass  # finishes what was committed
            if not (tmp_path / "banks" / "other" / MANIFEST).exists():
                make("other")
        assert tree(tmp_path / "banks" / "other") == tree(tmp_path / "banks" / "whole")
        shutil.rmtree(tmp_path / "banks" / "other")
