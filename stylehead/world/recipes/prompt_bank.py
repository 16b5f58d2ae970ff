"""Encoded prompts for every style, a few of them replaced at every draw."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.mini.captions import STYLES, VIEW_WORDS
from stylehead.mini.phrases import draw_prompt
from stylehead.world.recipes.train_text import tokenized

_CHUNK = 32


class PromptBank:
    """States of a frozen text encoder for prompts in every wording.

    Args:
        tokenizer: Of the encoder.
        encoder: Frozen.
        size: Prompts kept for each style.
        fresh: Prompts replaced at a draw.
    """

    def __init__(
        self, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, *, size: int = 256, fresh: int = 2
    ) -> None:
        self.tokenizer, self.encoder = tokenizer, encoder
        self.fresh = fresh
        words = np.random.default_rng(0)
        self.states = {style: self._encode([style] * size, words) for style in STYLES}
        self.empty = self._states([""])[0]

    def draw(self, styles: Sequence[str], rng: torch.Generator) -> Tensor:
        """A prompt's states [B, 77, D] for each style."""
        words = np.random.default_rng(int(torch.randint(2**31, (), generator=rng)))
        new = [STYLES[int(number)] for number in words.integers(len(STYLES), size=self.fresh)]
        for style, states in zip(new, self._encode(new, words), strict=True):
            self.states[style][int(words.integers(len(self.states[style])))] = states
        chosen = [self.states[style][int(words.integers(len(self.states[style])))] for style in styles]
        return torch.stack(chosen)

    def _encode(self, styles: Sequence[str], words: np.random.Generator) -> Tensor:
        views = list(VIEW_WORDS)
        texts = [
            draw_prompt(style, words, view=views[int(words.integers(len(views)))]).text for style in styles
        ]
        return torch.cat([self._states(texts[at : at + _CHUNK]) for at in range(0, len(texts), _CHUNK)])

    @torch.no_grad()
    def _states(self, texts: list[str]) -> Tensor:
        tokens = tokenized(self.tokenizer, texts).to(self.encoder.device)
        states: Tensor = self.encoder(tokens).last_hidden_state
        return states
