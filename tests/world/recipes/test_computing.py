import pytest
import torch

from stylehead.errors import MissingError
from stylehead.world.recipes.computing import device_named, in_bfloat16


def test_a_graphics_card_is_taken_where_there_is_one(monkeypatch):
    for there, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device_named("auto").type == kind
        assert device_named("cpu").type == "cpu"


def test_a_graphics_card_that_is_not_there_is_not_replaced_in_silence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match="no graphics card"):
        device_named("cuda")


def test_products_have_half_of_the_bits_inside_alone():
    x = torch.rand(4, 4)
    with in_bfloat16("cpu"):
        assert (x @ x).dtype == torch.bfloat16
    assert (x @ x).dtype == torch.float32
