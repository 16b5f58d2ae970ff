import numpy as np
import pytest

from stylehead.mini.captions import PHOTO, PROMPTED_STYLES, STYLES
from stylehead.mini.phrases import ABROAD, SYNONYMS, draw_prompt, everyday_words, filler, place_phrase


def test_every_drawn_prompt_asks_for_its_style_and_no_other():
    rng = np.random.default_rng(0)
    for style in PROMPTED_STYLES:
        for _ in range(300):
            prompt = draw_prompt(style, rng, view="side")
            assert place_phrase(prompt.text) == style, prompt.text


@pytest.mark.parametrize("style", STYLES)
def test_synonyms_and_other_languages_name_one_style(style):
    for phrase in (*SYNONYMS[style], *ABROAD[style]):
        if style != PHOTO or phrase != "a real person":
            assert place_phrase(f"please, {phrase}!") == style, phrase


def test_two_styles_or_none_are_no_style():
    assert place_phrase("a zombie as a marble statue") is None
    assert place_phrase("a lovely evening by the sea") is None
    assert place_phrase("") is None


def test_no_everyday_word_names_a_style():
    assert len(everyday_words()) > 1000
    for word in everyday_words():
        assert place_phrase(word) in (None, PHOTO), word
    assert place_phrase(f"{filler(30, np.random.default_rng(1))} statue") == "statue"


def test_a_grid_is_asked_for_as_one():
    rng = np.random.default_rng(2)
    for _ in range(50):
        text = draw_prompt("joker", rng, grid=True).text
        assert "four views" in text or "2x2" in text
