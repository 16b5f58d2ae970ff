"""A bank that is edited anew: from what the generator draws by then, in files of its own, once."""

import copy
from pathlib import Path

import pytest
import torch
from test_bank import Inverter
from torch import Tensor

from stylehead.bank import Bank, Filling, check_bank, fill_bank
from stylehead.bank.refresh import refresh_bank, round_file
from stylehead.errors import JobError, UsageError
from stylehead.generator import PanoHead
from stylehead.images import to_01, to_pixels
from stylehead.methods.config import StylizeConfig
from stylehead.methods.edit import EditSettings

ASKED = Filling("night", "make it dark", "light", seed=2)


class Continuer(Inverter):
    """Edits by darkening what it starts from; remembers what it was shown."""

    name, licence = "Continuer", "CC0"

    def edit(
        self, pictures_01: Tensor, instruction: str, *, seed: int, negative: str = "", **start
    ) -> Tensor:  # type: ignore[no-untyped-def]
        super().edit(pictures_01, instruction, seed=seed, negative=negative)
        self.shown = (pictures_01, start["current_01"], start["noise_share"])
        return start["current_01"] * 0.5


@pytest.fixture
def filled(bank: Bank) -> Bank:
    return fill_bank(bank, Inverter(), ASKED)


@pytest.fixture
def trained(generator: PanoHead) -> PanoHead:
    other = copy.deepcopy(generator)
    with torch.no_grad():
        other.superresolution.block1.torgb.bias += 0.4
    return other


def refreshed(bank: Bank, generator: PanoHead, editor: Inverter, number: int = 1) -> Bank:
    return refresh_bank(bank, generator, editor, ASKED, number=number, noise_share=0.6)  # type: ignore[arg-type]


def test_the_editor_sees_the_untouched_render_and_starts_from_the_trained_one(
    filled: Bank, trained: PanoHead
) -> None:
    editor = Continuer()
    bank = refreshed(filled, trained, editor)
    untouched, start, share = editor.shown
    last = bank.views_of(2)
    assert torch.equal(untouched, bank.renders_01(last))
    ws, label = filled.read_latents(num_ws=trained.num_ws, w_dim=trained.config.w_dim), filled.cameras()
    with torch.no_grad():
        own = trained.synthesis(ws[2:], label[2, :1], background="white").image
    assert (start[0] - to_01(own[0]).clamp(0, 1)).abs().max() < 0.02
    assert (start[0] - untouched[0]).abs().max() > 0.05
    assert share == 0.6
    assert len(editor.asked) == 3
    assert {instruction for instruction, _, _ in editor.asked} == {"make it dark"}


def test_a_round_is_read_alone_and_the_ones_before_stay(filled: Bank, trained: PanoHead) -> None:
    bank = refreshed(filled, trained, Continuer())
    first, second = list(bank.all_edits(0)), list(bank.all_edits(1))
    assert len(first) == len(second) == len(bank.views)
    assert len(list(bank.all_edits())) == 2 * len(bank.views)
    assert all(path.name.endswith(".round1.png") for _, path in second)
    edits = check_bank(bank, 1).edits
    assert [edit.file for edit in edits] == [path for _, path in second]
    with torch.no_grad():
        drawn = trained.synthesis(
            bank.read_latents(num_ws=trained.num_ws, w_dim=trained.config.w_dim)[:1],
            bank.cameras()[0, :1],
            background="white",
        ).image
    expected = to_pixels(drawn)[0].astype(int) * 0.5
    pixels = edits[0].pixels
    assert pixels is not None
    assert abs(pixels - expected).mean() < 2, "what training reads is what was just edited"


def test_a_stopped_round_goes_on_and_is_made_once(filled: Bank, trained: PanoHead) -> None:
    class Stopping(Continuer):
        def edit(self, pictures_01: Tensor, instruction: str, **more) -> Tensor:  # type: ignore[no-untyped-def]
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().edit(pictures_01, instruction, **more)

    with pytest.raises(KeyboardInterrupt):
        refreshed(filled, trained, Stopping())
    editor, again = Continuer(), Continuer()
    bank = refreshed(Bank.open(filled.folder), trained, editor)
    assert len(editor.asked) == 1
    refreshed(bank, trained, again)
    assert again.asked == []
    assert len(bank.manifest.edits) == 2 * len(bank.views)


def test_rounds_have_noise_and_files_of_their_own(filled: Bank, trained: PanoHead) -> None:
    one, two = Continuer(), Continuer()
    bank = refreshed(refreshed(filled, trained, one), trained, two, number=2)
    assert not {seed for _, seed, _ in one.asked} & {seed for _, seed, _ in two.asked}
    view = bank.views[0]
    files = {Path(round_file(view, number)).name for number in (1, 2)}
    assert files < {path.name for path in bank.edited_files(view)}


def test_edits_without_numbers_stop_it(filled: Bank, trained: PanoHead) -> None:
    class Broken(Continuer):
        def edit(self, pictures_01: Tensor, instruction: str, **more) -> Tensor:  # type: ignore[no-untyped-def]
            return super().edit(pictures_01, instruction, **more) * torch.nan

    with pytest.raises(JobError, match="not finite"):
        refreshed(filled, trained, Broken())
    assert not list(Bank.open(filled.folder).all_edits(1))


def settings(**changes: object) -> EditSettings:
    config = StylizeConfig.from_dict({"prompt": "x", "method": "edit", **changes})
    assert isinstance(config, EditSettings)
    return config


def test_rounds_are_spread_evenly_and_none_is_in_the_last_fifth() -> None:
    config = settings(iterations=90, refresh=2)
    assert [config.round_at(step) for step in (0, 29, 30, 59, 60, 90)] == [0, 0, 1, 1, 2, 2]
    assert settings(iterations=90).round_at(90) == 0
    most = settings(iterations=100, refresh=4)
    assert most.round_at(80) == 4
    assert most.round_at(79) == 3


def test_somebody_elses_bank_is_not_edited_anew() -> None:
    with pytest.raises(UsageError, match="--refresh"):
        settings(refresh=1, bank="mine")
