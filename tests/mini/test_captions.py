import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.errors import UsageError
from stylehead.mini.captions import (
    PHOTO,
    PROMPTED_STYLES,
    STYLES,
    all_words,
    caption,
    known_words,
    place_prompt,
)

WORDINGS = {
    "pixar": ["Pixar character", "a Pixar character", "in the style of Pixar", "PIXAR!", "cute pixar girl"],
    "joker": ["Joker", "portrait of the Joker", "the joker, front view"],
    "werewolf": ["Portrait of a werewolf", "werewolf portrait", "a howling werewolf"],
    "sketch": ["pencil sketch", "sketch of a person", "a rough sketch"],
    "statue": ["marble statue", "a Greek statue"],
    "zombie": ["zombie", "Portrait of a zombie"],
    "photo": ["a realistic photo of a person"],
}
FOREIGN = ["a bowl of fruit", "van gogh", "cyberpunk elf", "Shrek", "oil painting", "x", "42"]


@pytest.mark.parametrize(("style", "prompt"), [(s, p) for s, ps in WORDINGS.items() for p in ps])
def test_prompts_of_this_world_are_placed(style, prompt):
    assert place_prompt(prompt) == style


@pytest.mark.parametrize("prompt", FOREIGN)
def test_foreign_prompts_are_refused_with_the_styles_that_are_known(prompt):
    with pytest.raises(UsageError) as failure:
        place_prompt(prompt)
    assert prompt in failure.value.message
    assert all(style in failure.value.message for style in PROMPTED_STYLES)
    assert "--preset panohead" in failure.value.hint


@pytest.mark.parametrize("prompt", ["", "   ", "?!", "\n"])
def test_empty_prompts_are_called_empty(prompt):
    with pytest.raises(UsageError, match="empty"):
        place_prompt(prompt)


def test_two_styles_at_once_are_refused_by_name():
    with pytest.raises(UsageError, match="joker and werewolf"):
        place_prompt("a werewolf as the joker")


@pytest.mark.parametrize("style", STYLES)
def test_captions_are_placed_where_they_come_from(style):
    rng = np.random.default_rng(0)
    texts = {caption(style, rng, view="front", grid=bool(i % 2)) for i in range(300)}
    assert len(texts) > 20
    if style != PHOTO:
        assert {place_prompt(text) for text in texts} == {style}


def test_photographic_captions_name_no_style():
    rng = np.random.default_rng(0)
    for _ in range(300):
        words = caption(PHOTO, rng).split()
        assert not set(words) & set(PROMPTED_STYLES)


def test_captions_repeat_for_the_same_seed():
    first, second = (caption("joker", np.random.default_rng(7), view="side") for _ in range(2))
    assert first == second


def test_every_caption_word_is_known():
    known = set(all_words())
    rng = np.random.default_rng(1)
    for style in STYLES:
        for _ in range(100):
            text = caption(style, rng, view="back", grid=rng.random() < 0.5)
            assert set(text.replace(",", " , ").replace("-", " - ").split()) <= known


OTHER_WORDS = {
    "wolfman": "werewolf",
    "a Wolf-Man at night": "werewolf",
    "\u72fc\u4eba": "werewolf",
    "\u043e\u0431\u043e\u0440\u043e\u0442\u0435\u043d\u044c": "werewolf",
    "ein Werwolf": "werewolf",
    "The Walking Dead": "zombie",
    "marble bust": "statue",
    "a pencil drawing of a man": "sketch",
}


@pytest.mark.parametrize(("prompt", "style"), OTHER_WORDS.items())
def test_other_words_for_a_style_are_understood_in_any_script(prompt, style):
    assert place_prompt(prompt) == style
    assert style in known_words(prompt)
    assert known_words(known_words(prompt)) == known_words(prompt)


def test_prompts_with_the_words_of_captions_stay_as_they_are():
    rng = np.random.default_rng(2)
    for style in STYLES:
        for _ in range(100):
            text = caption(style, rng, view="side")
            assert known_words(text) == text


@pytest.mark.parametrize(
    ("prompt", "meant"), [("Pixer", "pixar"), ("a zombi", "zombie"), ("Disney", "pixar"), ("jokers", "joker")]
)
def test_a_slip_of_the_pen_gets_a_suggestion(prompt, meant):
    with pytest.raises(UsageError) as failure:
        place_prompt(prompt)
    assert f'did you mean "{meant}"?' in failure.value.hint


@pytest.mark.parametrize(
    "prompt", ["not a zombie", "a person, not the joker", "without any sketch", "no statue"]
)
def test_what_heads_should_not_look_like_is_no_style(prompt):
    with pytest.raises(UsageError) as failure:
        place_prompt(prompt)
    assert failure.value.message == f'"{prompt}" only says what heads should not look like.'
    assert failure.value.hint == f"say what they should look like: {', '.join(PROMPTED_STYLES)}"


@given(st.text())
def test_any_text_is_placed_or_refused(prompt):
    with contextlib.suppress(UsageError):
        assert place_prompt(prompt) in STYLES
