"""The editor's text encoder: CLIP's architecture and window, for a style in any wording.

It learns to say what the text encoder of the landed teacher says of plain captions, from the word on that
names the style: a denoiser that read the one reads the other from the first step on. Synonyms, instructions,
other languages and sixty words around a style word all come to the same states.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.mini.captions import STYLES, VIEW_WORDS, View, caption
from stylehead.mini.phrases import Prompt, draw_prompt, filler
from stylehead.mini.subwords import WINDOW, write_subwords
from stylehead.teacher.paths import part_of
from stylehead.world.recipes.computing import device_of
from stylehead.world.recipes.networks import encode_captions, new_text_encoder, trained
from stylehead.world.recipes.warm_start import copy_pretrained

_EMPTY, _STYLELESS, _GRID = 0.06, 0.06, 0.12
_CAPTIONS = 24
_BEFORE, _BETWEEN = 0.3, 0.2
"""Weights of the states of words before the style is known, and between its name and the end."""


@dataclass(frozen=True)
class Meanings:
    """States of the teacher's text encoder, [D] each.

    Attributes:
        start: At the start token.
        unsaid: At a word before the style is named.
        empty: After an empty prompt.
        said: After a caption, by style and what it says of the camera ("", a view, or "grid").
    """

    start: Tensor
    unsaid: Tensor
    empty: Tensor
    said: Mapping[tuple[str, str], Tensor]

    @classmethod
    @torch.no_grad()
    def read(cls, tokenizer: CLIPTokenizer, encoder: CLIPTextModel) -> "Meanings":
        """Ask a text encoder for the states at the last position of captions of every kind."""
        rng = np.random.default_rng(0)
        said = {
            (style, aspect): encode_captions(tokenizer, encoder, _captions(style, aspect, rng))[:, -1].mean(0)
            for style in STYLES
            for aspect in ("", *VIEW_WORDS, "grid")
        }
        plain = encode_captions(tokenizer, encoder, ["portrait of a", ""])
        return cls(plain[0, 0], plain[0, 1:4].mean(0), plain[1, -1], said)


class TextRecipe:
    """Squared distance from the teacher's states, at every position of the window.

    Args:
        teacher: Folder of the teacher whose text encoder is read.
        work: Folder for the tokenizer's files; one that is there is used as it is.
        batch: Prompts in a step.
    """

    name = "text"
    learning_rate = 2e-3

    def __init__(self, teacher: Path, work: Path, *, batch: int = 32) -> None:
        self.tokenizer = open_tokenizer(work / "subwords")
        old = CLIPTokenizer.from_pretrained(part_of(teacher, "tokenizer"), local_files_only=True)
        self.meanings = Meanings.read(old, trained(CLIPTextModel, part_of(teacher, "text_encoder")))
        torch.manual_seed(3)
        self.model: Any = new_text_encoder(self.tokenizer)
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Weighted mean of the squared distances; for the log, also at the end alone."""
        words = np.random.default_rng(int(torch.randint(2**31, (), generator=rng)))
        prompts = [draw_request(words) for _ in range(self.batch)]
        device = device_of(self.model)
        tokens = tokenized(self.tokenizer, [prompt.text for prompt, _ in prompts])
        wanted, weights = (part.to(device) for part in self._targets(prompts, tokens))
        states = self.model(tokens.to(device)).last_hidden_state
        errors = (states - wanted).square().mean(dim=2)
        loss = (errors * weights).sum() / weights.sum()
        return loss, {"end": float(errors.detach()[:, -1].mean())}

    def _targets(self, prompts: list[tuple[Prompt, str | None]], tokens: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, L, D] that are wanted, and how much each counts [B, L]."""
        rows = [self._target(*pair, row) for pair, row in zip(prompts, tokens, strict=True)]
        return torch.stack([states for states, _ in rows]), torch.stack([weights for _, weights in rows])

    def _target(self, prompt: Prompt, style: str | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
        last = int((tokens == self.tokenizer.eos_token_id).int().argmax())
        named = min(self._length(f"{prompt.before} {prompt.named}"), last)
        meanings = self.meanings
        plain = meanings.empty if style is None else meanings.said[style, ""]
        final = meanings.empty if style is None else meanings.said[style, aspect_of(prompt)]
        states, weights = final.repeat(WINDOW, 1), torch.ones(WINDOW)
        states[:named], weights[:named] = meanings.unsaid, _BEFORE
        states[named:last], weights[named:last] = plain, _BETWEEN
        states[0], weights[0] = meanings.start, 1.0
        return states, weights

    def _length(self, text: str) -> int:
        """Position of the last token of a text, after the start token."""
        return len(self.tokenizer(text, truncation=True).input_ids) - 2

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_pretrained(self.model, folder / "ip2p" / "text_encoder", CLIPTextModel)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write text_encoder/ in half precision, and tokenizer/."""
        assert isinstance(averaged, CLIPTextModel)
        averaged.half().cpu().save_pretrained(folder / "ip2p" / "text_encoder", safe_serialization=True)
        self.tokenizer.save_pretrained(folder / "ip2p" / "tokenizer")


def open_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer in a folder; learned and written there first when there is none."""
    if not folder.is_dir():
        return write_subwords(folder)
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def tokenized(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token numbers [B, 77]."""
    tokens = tokenizer(texts, padding="max_length", max_length=WINDOW, truncation=True, return_tensors="pt")
    numbers: Tensor = tokens.input_ids
    return numbers


def draw_request(rng: np.random.Generator) -> tuple[Prompt, str | None]:
    """A prompt and the style that it names; None for an empty one, and one that names no style."""
    chance = rng.random()
    if chance < _EMPTY:
        return Prompt("", "", ""), None
    if chance < _EMPTY + _STYLELESS:
        return Prompt("", filler(int(rng.integers(1, 30)), rng), ""), None
    style = STYLES[int(rng.integers(len(STYLES)))]
    view: View = list(VIEW_WORDS)[int(rng.integers(len(VIEW_WORDS)))]
    return draw_prompt(style, rng, view=view, grid=rng.random() < _GRID), style


def aspect_of(prompt: Prompt) -> str:
    """The camera that a prompt names: "", a view, or "grid"."""
    if "four views" in prompt.text or "2x2" in prompt.text:
        return "grid"
    for view, phrases in VIEW_WORDS.items():
        if any(phrase in prompt.after for phrase in phrases):
            return view
    return ""


def _captions(style: str, aspect: str, rng: np.random.Generator) -> list[str]:
    """Plain captions of one style that all say the same of the camera."""
    texts = []
    for number in range(_CAPTIONS):
        text = caption(style, rng)
        if aspect == "grid":
            text = f"four views of {text}"
        elif aspect:
            phrases = VIEW_WORDS[aspect]  # type: ignore[index]
            text = f"{text}, {phrases[number % len(phrases)]}"
        texts.append(text)
    return texts
