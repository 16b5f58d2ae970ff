"""The embedded tokenizer: CLIP's own class, with one token for every word of the captions."""

import itertools
import json
from collections import Counter
from pathlib import Path

from stylehead.files import atomic_write
from stylehead.mini.captions import all_words

MAX_TOKENS = 24
START, END = "<|startoftext|>", "<|endoftext|>"


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens with their numbers, and the merges that build every caption word from its letters."""
    symbols = _byte_symbols()
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    merges = _merges(all_words())
    tokens += [left + right for left, right in merges]
    unique = list(dict.fromkeys([*tokens, START, END]))
    return {token: number for number, token in enumerate(unique)}, merges


def write_tokenizer(folder: Path) -> None:
    """Write the files that `CLIPTokenizer.from_pretrained` reads."""
    from transformers import CLIPTokenizer

    vocab, merges = vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "vocab.json", json.dumps(vocab, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    atomic_write(folder / "merges.txt", "\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=vocab, merges=merges, unk_token=END, bos_token=START, eos_token=END, pad_token=END,
        model_max_length=MAX_TOKENS,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair encoding run to its end: the most frequent pair is merged until every word is one token."""
    split = [[*word[:-1], f"{word[-1]}</w>"] for word in words]
    merges = []
    while any(len(pieces) > 1 for pieces in split):
        pairs = Counter(pair for pieces in split for pair in itertools.pairwise(pieces))
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        split = [_merge(pieces, merges[-1]) for pieces in split]
    return merges


def _merge(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _byte_symbols() -> list[str]:
    """One printable character for every byte, as byte-level BPE writes them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number, _ in enumerate(others)]
