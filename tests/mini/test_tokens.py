import numpy as np
import pytest

from stylehead.mini.captions import STYLES, all_words, caption
from stylehead.mini.tokens import MAX_TOKENS, vocabulary, write_tokenizer

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def test_every_caption_word_is_one_token(tokenizer):
    for word in all_words():
        if word.isalpha():
            assert len(tokenizer.tokenize(word)) == 1, word


def test_captions_fit_the_window(tokenizer):
    rng = np.random.default_rng(0)
    for style in STYLES:
        for _ in range(100):
            assert len(tokenizer(caption(style, rng, view="front")).input_ids) <= MAX_TOKENS


def test_case_does_not_matter(tokenizer):
    assert tokenizer("Pixar Character").input_ids == tokenizer("pixar character").input_ids


def test_any_text_has_tokens(tokenizer):
    assert len(tokenizer("Ünïcödé 漢字 \U0001f600").input_ids) > 4


def test_numbers_are_dense():
    vocab, merges = vocabulary()
    assert sorted(vocab.values()) == list(range(len(vocab)))
    assert all(left + right in vocab for left, right in merges)
