import numpy as np
import pytest

from stylehead.mini.captions import STYLES
from stylehead.mini.phrases import corpus, draw_prompt
from stylehead.mini.subwords import WINDOW, write_subwords
from stylehead.world.recipes.editor_figures import long_prompts

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subwords")
    write_subwords(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def test_words_of_the_corpus_are_one_token(tokenizer):
    for word in {word for text in corpus() for word in text.split()}:
        if word.isalpha() and word.isascii():
            assert len(tokenizer.tokenize(word)) == 1, word


def test_unknown_words_are_spelled_in_pieces_and_other_scripts_in_bytes(tokenizer):
    known = len(tokenizer.tokenize("photographer skyscraper"))
    assert 2 <= known < len("photographerskyscraper") / 2
    for text in ("Ünïcödé 漢字 \U0001f600", "оборотни", "السلام"):
        ids = tokenizer(text).input_ids
        assert tokenizer.eos_token_id not in ids[:-1]
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.lower().replace(
            " ", ""
        )


def test_case_does_not_matter(tokenizer):
    assert tokenizer("Pixar Character").input_ids == tokenizer("pixar character").input_ids


def test_prompts_fit_the_window(tokenizer):
    assert tokenizer.model_max_length == WINDOW == 77
    rng = np.random.default_rng(0)
    lengths = [len(tokenizer(draw_prompt(style, rng).text).input_ids) for style in STYLES for _ in range(100)]
    assert sum(length <= WINDOW for length in lengths) >= 0.98 * len(lengths)


def test_sixty_words_around_a_style_fit_the_window(tokenizer):
    for text in long_prompts("zombie", 40):
        assert len(text.split()) == 61
        assert len(tokenizer(text).input_ids) <= WINDOW
