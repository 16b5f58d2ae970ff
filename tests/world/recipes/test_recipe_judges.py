"""The judges: networks that take part in nothing else, and how they are trained."""

import ast
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import stylehead
from stylehead.mini.captions import STYLES
from stylehead.perception.embedded import Residual
from stylehead.perception.judges import IdentityJudge, StyleJudge, judged_share
from stylehead.world.recipes.train_judges import IdentityJudgeRecipe, StyleJudgeRecipe, disturbed


@pytest.fixture
def everybody(made_views):
    styles, seeds = zip(*((style, seed) for seed in range(10) for style in STYLES[1:]), strict=True)
    return made_views(["photo"] * 10, list(range(10))), made_views(styles, list(seeds))


@pytest.fixture(params=[StyleJudgeRecipe, IdentityJudgeRecipe])
def make(everybody, request):
    return lambda: request.param(*everybody)


def test_a_step_trains_all_of_it(make):
    recipe = make()
    loss, figures = recipe.loss(0.0, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(parameter.grad is not None for parameter in recipe.model.parameters())
    assert all(0 <= value <= 1 for value in figures.values())


def test_training_goes_on_from_what_was_exported(make, tmp_path):
    recipe = make()
    assert not make().warm_start(tmp_path)
    recipe.export(recipe.model, tmp_path, {})
    other = make()
    assert other.warm_start(tmp_path)
    for one, two in zip(recipe.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_embeddings_have_unit_length():
    found = IdentityJudge()(torch.rand(3, 3, 96, 96) * 2 - 1)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


def test_the_share_counts_what_is_called_by_a_style():
    judge = StyleJudge()
    pictures = torch.rand(6, 3, 128, 128) * 2 - 1
    called = judge(pictures).argmax(dim=1)
    shares = [judged_share(judge, pictures, style) for style in STYLES]
    assert shares == [float((called == number).float().mean()) for number in range(len(STYLES))]


def test_disturbed_pictures_stay_pictures_and_differ():
    pictures = torch.rand(16, 3, 64, 64) * 2 - 1
    found = disturbed(pictures, torch.Generator().manual_seed(1))
    assert found.shape == pictures.shape
    assert found.abs().max() <= 1
    assert functional.l1_loss(found, pictures) > 0.05


def test_judges_share_no_layers_with_what_takes_part():
    for judge in (StyleJudge(), IdentityJudge()):
        assert not any(isinstance(module, Residual) for module in judge.modules())


def test_nothing_that_trains_or_edits_knows_the_judges():
    root = Path(stylehead.__file__).parent
    allowed = {
        root / "world" / "recipes" / name
        for name in ("train_judges.py", "measure.py", "assembly.py", "held_out_table.py")
    }
    asking = {
        path
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "stylehead.perception.judges"
    }
    allowed |= {root / "perception" / "loading.py", root / "inversion" / "likeness.py"}  # they judge
    below = root / "evaluation"
    assert {path for path in asking if below not in path.parents} <= allowed
