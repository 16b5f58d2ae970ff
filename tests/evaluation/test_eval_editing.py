"""Systems that edit pictures, over tiny random networks."""

from pathlib import Path

import pytest
import torch
from eval_helpers import YAWS, random_portraits
from tiny_teacher import write_tiny_editors, write_tiny_teacher
from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.baselines import PortraitEditor, edit_portraits, open_portrait_editor, why_no_editor
from stylehead.evaluation.portraits import Portraits
from stylehead.perception.embedded import IdentityEncoder
from stylehead.weights.presets import Preset

SIZE = 32


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    root = tmp_path_factory.mktemp("weights")
    write_tiny_teacher(root / "teacher", image_size=SIZE)
    write_tiny_editors(root)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        IdentityEncoder().save(root / "identity.safetensors", {})
    return preset(root)


def preset(root: Path, name: str = "mini") -> Preset:
    names = {"ip2p": "ip2p", "instantid": "instantid", "faces": "identity.safetensors"}
    companions = {role: root / file for role, file in names.items()} if name == "mini" else {}
    return Preset(
        name, root / "generator.safetensors", root / "teacher", "none", "repair it", companions=companions
    )


@pytest.fixture(scope="module", params=["ip2p", "instantid"])
def editor(weights: Preset, request: pytest.FixtureRequest) -> PortraitEditor:
    return open_portrait_editor(request.param, weights, "cpu")


def people(seed: int = 1, *, size: int = SIZE) -> Portraits:
    found = random_portraits(seed, people=2, size=size)
    assert found.masks is not None
    return found


class Darker:
    """Edits at half the size, and nothing but the brightness."""

    def edit(self, person: Portraits, prompt: str) -> Tensor:
        assert prompt == "darker"
        return person.images[0, :, :, ::2, ::2] / 255 / 2


def test_a_row_of_edited_pictures() -> None:
    counted: list[int] = []
    untouched = people()
    edited = edit_portraits(Darker(), untouched, "darker", done=counted.append)
    assert counted == [1, 2]
    assert (edited.seeds, edited.yaws_deg) == (untouched.seeds, untouched.yaws_deg)
    assert edited.images.shape == untouched.images.shape
    assert edited.images.dtype == torch.uint8
    assert edited.masks is None
    assert edited.depths is None
    brightness = float(edited.images.float().mean() / untouched.images.float().mean())
    assert brightness == pytest.approx(0.5, rel=0.05)


def test_edits_follow_prompt_and_person_and_repeat(editor: PortraitEditor) -> None:
    person = people().pick(seeds=[people().seeds[0]])
    once = editor.edit(person, "a")
    assert once.shape == (len(YAWS), 3, SIZE, SIZE)
    assert 0 <= once.min() < once.max() <= 1
    assert torch.equal(once, editor.edit(person, "a"))
    assert not torch.equal(once, editor.edit(person, "b"))
    other = Portraits(people(2).images[:1], person.seeds, YAWS, people(2).masks[:1], people(2).depths[:1])
    assert not torch.equal(once, editor.edit(other, "a"))


def test_the_face_alone_changes_what_instantid_paints(weights: Preset) -> None:
    editor = open_portrait_editor("instantid", weights, "cpu")
    person = people().pick(seeds=[people().seeds[0]])
    stranger = Portraits(255 - person.images, person.seeds, YAWS, person.masks, person.depths)
    assert not torch.equal(editor.edit(person, "a"), editor.edit(stranger, "a"))
    with pytest.raises(JobError, match="depth"):
        editor.edit(Portraits(person.images, person.seeds, YAWS), "a")


@pytest.mark.parametrize(
    ("name", "told"), [("mini", "Portrait of a werewolf"), ("panohead", "turn the person into a werewolf")]
)
def test_the_published_editor_is_told_what_to_do_in_the_published_steps(
    weights: Preset, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    class Recorder:
        def edit(self, images: Tensor, instruction: str, **_: object) -> Tensor:
            asked["instruction"] = instruction
            return images

    def open_recorder(*_: object, steps: int, **__: object) -> Recorder:
        asked["steps"] = steps
        return Recorder()

    monkeypatch.setattr("stylehead.teacher.editing.opening.open_preset_editor", open_recorder)
    monkeypatch.setattr("stylehead.teacher.editing.opening.why_no_preset_editor", lambda _: None)
    editor = open_portrait_editor("ip2p", preset(weights.generator.parent, name), "cpu")
    editor.edit(people().pick(seeds=[people().seeds[0]]), "Portrait of a werewolf")
    assert asked == {"steps": 100, "instruction": told}


def test_what_is_not_there(weights: Preset, tmp_path: Path) -> None:
    assert why_no_editor("ip2p", weights) is None
    assert why_no_editor("instantid", weights) is None
    for name in ("ip2p", "instantid"):
        for bare in (preset(tmp_path), preset(tmp_path, "panohead")):
            why = why_no_editor(name, bare)
            assert why is not None
            assert "--images" in str(why.hint)
            with pytest.raises(MissingError):
                open_portrait_editor(name, bare, "cpu")
