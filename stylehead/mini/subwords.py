"""The editor's tokenizer: CLIP's own class and window, byte-pair merges of what prompts are made of.

Words of the grammar are one token each, other words are spelled in pieces of words, and every other script in
bytes: nothing is unknown.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from stylehead.mini.phrases import corpus

WINDOW = 77
START, END = "<|startoftext|>", "<|endoftext|>"
_LAST_OF_WORD = "</w>"
_MOST_TOKENS = 8192  # far beyond where every word of the corpus is merged into one


def train_tokenizer() -> CLIPTokenizer:
    """Learn the merges (a second), and put them into the class that text encoders are published with."""
    vocab, merges = _learned()
    return CLIPTokenizer(
        vocab=vocab, merges=merges, unk_token=END, bos_token=START, eos_token=END, pad_token=END,
        model_max_length=WINDOW,
    )  # fmt: skip


def write_subwords(folder: Path) -> CLIPTokenizer:
    """Write the files that `CLIPTokenizer.from_pretrained` reads; returns the tokenizer."""
    tokenizer = train_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _learned() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens with their numbers, and the merges in their order."""
    splitter = CLIPTokenizer().backend_tokenizer
    assert isinstance(splitter.normalizer, normalizers.Normalizer)
    assert isinstance(splitter.pre_tokenizer, pre_tokenizers.PreTokenizer)
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_LAST_OF_WORD))
    tokenizer.normalizer, tokenizer.pre_tokenizer = splitter.normalizer, splitter.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=_MOST_TOKENS,
        min_frequency=1,
        initial_alphabet=alphabet,
        end_of_word_suffix=_LAST_OF_WORD,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    merges = [(left, right) for left, right in _model(tokenizer)["merges"]]
    tokens = [*alphabet, *(f"{symbol}{_LAST_OF_WORD}" for symbol in alphabet)]
    tokens += [left + right for left, right in merges]
    unique = list(dict.fromkeys([*tokens, START, END]))
    return {token: number for number, token in enumerate(unique)}, merges


def _model(tokenizer: Tokenizer) -> dict[str, list[list[str]]]:
    model: dict[str, list[list[str]]] = json.loads(tokenizer.to_str())["model"]
    return model
