"""The editor's text encoder: what it is asked to say, word by word, and that it learns it."""

import numpy as np
import pytest
import torch

from stylehead.mini.captions import STYLES
from stylehead.mini.phrases import Prompt, draw_prompt
from stylehead.mini.subwords import WINDOW
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.recipes.prompt_bank import PromptBank
from stylehead.world.recipes.train_text import TextRecipe, aspect_of, draw_request, tokenized


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    with torch.random.fork_rng():
        return TextRecipe(MINI_WEIGHTS / "teacher", tmp_path_factory.mktemp("work"), batch=4)


def target(recipe, prompt, style):
    return recipe._target(prompt, style, tokenized(recipe.tokenizer, [prompt.text])[0])


def test_before_the_style_is_named_nothing_is_said_and_after_it_the_style(recipe):
    states, weights = target(recipe, Prompt("a portrait of", "a zombie", "please"), "zombie")
    meanings = recipe.meanings
    assert states.shape == (WINDOW, 128)
    assert torch.equal(states[0], meanings.start)
    assert all(torch.equal(state, meanings.unsaid) for state in states[1:5])  # a portrait of a
    assert torch.equal(states[5], meanings.said["zombie", ""])
    assert torch.equal(states[-1], meanings.said["zombie", ""])
    assert weights[-1] == weights[0] == 1 > weights[1] > 0


def test_nothing_and_words_without_a_style_mean_what_an_empty_prompt_means(recipe):
    for prompt in (Prompt("", "", ""), Prompt("", "quiet golden evening", "")):
        states, _ = target(recipe, prompt, None)
        assert torch.equal(states[-1], recipe.meanings.empty)


def test_the_side_that_is_asked_for_is_part_of_the_meaning_at_the_end(recipe):
    prompt = Prompt("", "a joker", ", seen from behind")
    assert aspect_of(prompt) == "back"
    states, _ = target(recipe, prompt, "joker")
    assert torch.equal(states[-1], recipe.meanings.said["joker", "back"])
    assert torch.equal(states[3], recipe.meanings.said["joker", ""])
    assert aspect_of(Prompt("four views of", "a joker", "")) == "grid"


def test_what_styles_mean_differs_more_than_what_sides_do(recipe):
    said = recipe.meanings.said
    styles = torch.pdist(torch.stack([said[style, ""] for style in STYLES]))
    sides = torch.pdist(torch.stack([said["joker", aspect] for aspect in ("", "front", "side", "back")]))
    assert styles.min() > sides.max()


def test_a_few_steps_come_nearer(recipe):
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(recipe.model.parameters(), lr=2e-3)
    losses = []
    for _ in range(6):
        loss, _ = recipe.loss(0.0, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_requests_name_their_style_or_none():
    rng = np.random.default_rng(3)
    requests = [draw_request(rng) for _ in range(400)]
    assert 0.07 < sum(style is None for _, style in requests) / 400 < 0.18
    assert {style for _, style in requests if style} == set(STYLES)
    assert any(prompt.text == "" for prompt, _ in requests)


def test_a_bank_gives_states_of_the_styles_that_are_asked_for(recipe):
    bank = PromptBank(recipe.tokenizer, recipe.model.eval().requires_grad_(False), size=3)
    rng = torch.Generator().manual_seed(1)
    found = bank.draw(["zombie", "joker"], rng)
    assert found.shape == (2, WINDOW, 128)
    assert any(torch.equal(found[0], states) for states in bank.states["zombie"])
    assert bank.empty.shape == (WINDOW, 128)
    before = {style: states.clone() for style, states in bank.states.items()}
    for _ in range(5):
        bank.draw(["photo"], rng)
    assert any(not torch.equal(before[style], bank.states[style]) for style in STYLES)


def test_prompts_are_cut_where_the_style_is_named():
    rng = np.random.default_rng(0)
    for _ in range(50):
        prompt = draw_prompt("statue", rng)
        assert prompt.text == " ".join(part for part in prompt if part)
        assert prompt.named
