"""A bank of true pictures holds what the procedural world shows, and guesses nobody's look."""

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from stylehead.bank import Sitter, check_bank, create_bank
from stylehead.bank.create import sitters_from_seeds
from stylehead.errors import UsageError
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.world.heads.head_renderer import HeadRenderer, HeadViews
from stylehead.world.heads.identity import identity_from_z
from stylehead.world.heads.truncation import truncated
from stylehead.world.recipes.oracle import fill_with_truth

anny = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the extra `mini`")


@pytest.fixture(scope="module")
def tiny() -> PanoHead:
    torch.manual_seed(0)
    return PanoHead(dataclasses.replace(GeneratorConfig.tiny(), z_dim=64)).eval()


@anny
def test_the_pictures_are_those_of_the_same_people_as_truncated_as_they(tiny, tmp_path):
    size = tiny.config.img_resolution
    bank = create_bank(
        tmp_path / "bank", tiny, sitters_from_seeds(tiny, 2, seed=3, psi=0.6), views=2, psi=0.6
    )
    with HeadRenderer(size, 1) as renderer:
        filled = fill_with_truth(bank, "zombie", renderer, prompt="a zombie")
        seed = bank.manifest.people[1].seed
        person = truncated(identity_from_z(np.random.RandomState(seed).randn(64)), 0.6)
        wanted = renderer.render(person, "zombie", np.array(bank.views[2].camera))
    (file,) = filled.edited_files(bank.views[2])
    assert np.array_equal(np.asarray(Image.open(file)), wanted.image[0])
    assert filled.manifest.prompt == "a zombie"
    assert {edit.instruction for edit in filled.manifest.edits} == {"zombie"}
    assert check_bank(filled).edits[0].file.parent.name == "edited"


def test_a_person_from_a_latent_file_has_no_known_look(tiny, tmp_path):
    class Nobody:
        def render(self, *_: object) -> HeadViews:
            raise AssertionError("nothing is drawn")

    sitter = Sitter(torch.zeros(1, tiny.num_ws, tiny.config.w_dim), source="me.npz")
    bank = create_bank(tmp_path / "bank", tiny, [sitter], views=1)
    with pytest.raises(UsageError, match="not known"):
        fill_with_truth(bank, "joker", Nobody(), prompt="x")
    assert not list((bank.folder / "edited").iterdir())
