import dataclasses

import numpy as np
import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.layers import SynthesisLayer, ToRGB
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.recipes.train_generator import GeneratorModel, save_halved
from stylehead.world.recipes.train_mapping import MappingRecipe, style_metric


@pytest.fixture
def trained():
    torch.manual_seed(0)
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(tiny.rendering, use_background=False, c_gen_conditioning_zero=True)
    mapping = {"mapping_lr_mul": 1.0, "mapping_num_layers": 8, "mapping_layer_features": 512}
    config = dataclasses.replace(tiny, z_dim=64, rendering=rendering, **mapping)
    return GeneratorModel(config, torch.rand(20, 128))


def numbers_of(z):
    """Made-up people: 128 numbers that follow from z."""
    return np.concatenate([z, np.abs(z)], axis=1)


def test_the_metric_measures_what_the_layers_make_of_w(trained):
    metric = style_metric(trained.generator)
    w, other = torch.randn(2, trained.generator.config.w_dim)
    squared = torch.zeros(())
    for layer in trained.generator.modules():
        if isinstance(layer, SynthesisLayer | ToRGB):
            squared += (layer.affine(w[None]) - layer.affine(other[None])).square().mean()
    assert torch.isclose((metric @ (w - other)).square().sum(), squared, rtol=1e-4)


def test_the_mapping_learns_the_w_of_the_identity_and_nothing_else_moves(trained):
    recipe = MappingRecipe(trained, numbers_of, batch=64, bank=16384)
    before = {name: tensor.clone() for name, tensor in trained.generator.state_dict().items()}
    optimizer = torch.optim.Adam(recipe.parameters()[0]["params"], lr=2e-3, betas=(0.9, 0.99))
    rng, losses = torch.Generator().manual_seed(0), []
    for _ in range(60):
        loss, _ = recipe.loss(0.0, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] < 0.5
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    changed = {n for n, t in trained.generator.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert all(name.startswith("backbone.mapping.") for name in changed)
    assert torch.allclose(trained.generator.backbone.mapping.w_avg, recipe.bank_w.mean(dim=0), atol=0.5)


def test_latents_are_renewed_a_few_at_a_time(trained):
    recipe = MappingRecipe(trained, numbers_of, batch=64, bank=16384)
    before = recipe.bank_z.clone()
    recipe.loss(0.0, torch.Generator().manual_seed(3))
    assert (recipe.bank_z != before).any(dim=1).sum() == 8
    row = recipe.bank_z[:1]
    wanted = trained.identity_to_w(torch.from_numpy(numbers_of(row.numpy().astype(np.float64))).float())
    assert torch.allclose(recipe.bank_w[:1], wanted, atol=1e-5)


def test_the_embedded_mapping_decides_the_same_from_halves(tmp_path):
    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors")
    save_halved(generator, tmp_path / "generator.safetensors", {})
    z = torch.randn(400, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ws, loaded = (
            g.mapping(z, torch.zeros(1, 25))[:, 0]
            for g in (generator, PanoHead.load(tmp_path / "generator.safetensors"))
        )
    missed = (ws - loaded).square().sum() / (ws - ws.mean(dim=0)).square().sum()
    assert missed < 1e-3
