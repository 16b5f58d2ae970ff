"""The embedded tokenizer: CLIP's own class, with one token for every word of the captions."""

import json
from pathlib import Path

from stylehead.mini.captions import all_words

MAX_TOKENS = 24
START, END = "<|startoftext|>", "<|endoftext|>"


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens with their numbers, and the merges that build every caption word from its letters."""
    symbols = _byte_symbols()
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    merges: dict[tuple[str, str], None] = {}
    for word in all_words():
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            merges[(pieces[0], pieces[1])] = None
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
    tokens += [left + right for left, right in merges]
    unique = list(dict.fromkeys([*tokens, START, END]))
    return {token: number for number, token in enumerate(unique)}, list(merges)


def write_tokenizer(folder: Path) -> None:
    """Write the files that `CLIPTokenizer.from_pretrained` reads."""
    from transformers import CLIPTokenizer

    vocab, merges = vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(
        vocab=vocab, merges=merges, unk_token=END, bos_token=START, eos_token=END, pad_token=END,
        model_max_length=MAX_TOKENS,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)


def _byte_symbols() -> list[str]:
    """One printable character for every byte, as byte-level BPE writes them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number, _ in enumerate(others)]
