"""How people ask the embedded editor for a style, from captions and instructions to long prompts.

The editor and its text encoder are trained on prompts from this grammar. A prompt is drawn in three pieces,
so that a text encoder can be told from which word on the style is known.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from stylehead.mini.captions import PHOTO, SHAPES, STYLE_WORDS, STYLES, VIEW_WORDS, View


class Prompt(NamedTuple):
    """What is asked, cut where the style is named: `before` and `after` may be empty."""

    before: str
    named: str
    after: str

    @property
    def text(self) -> str:
        """The whole prompt."""
        return " ".join(part for part in self if part)


SYNONYMS: dict[str, tuple[str, ...]] = {
    PHOTO: ("a photo", "a photograph", "a real person", "a snapshot", "a realistic portrait"),
    "pixar": (
        "a pixar character", "a 3d cartoon", "a 3d cartoon character", "an animated film character",
        "a cgi cartoon", "a toon character", "a character from an animated movie", "pixar",
    ),
    "joker": (
        "the joker", "a joker", "the clown prince of crime", "an evil clown", "a villain with clown make-up",
        "a clown with green hair", "joker",
    ),
    "werewolf": (
        "a werewolf", "a wolfman", "a wolf man", "a lycanthrope", "a lycan", "a hairy wolf creature",
        "a man-wolf", "a wolf", "werewolf",
    ),
    "sketch": (
        "a pencil sketch", "a sketch", "a pencil drawing", "a line drawing", "a charcoal drawing", "a doodle",
        "a black and white drawing", "a graphite drawing", "sketch",
    ),
    "statue": (
        "a marble statue", "a statue", "a marble bust", "a sculpture", "a stone bust", "a stone statue",
        "an antique sculpture", "a greek statue", "statue",
    ),
    "zombie": (
        "a zombie", "an undead", "the undead", "a living dead", "a walking corpse", "a rotting corpse",
        "the walking dead", "a ghoul", "zombie",
    ),
}  # fmt: skip
"""Noun phrases for a head in each style."""

ABROAD: dict[str, tuple[str, ...]] = {
    PHOTO: ("Foto", "photographie", "fotografía", "照片", "写真", "фотография"),
    "pixar": ("Trickfilmfigur", "dessin-animé", "caricatura", "皮克斯", "ピクサー", "мультик"),
    "joker": ("Jokergesicht", "bouffon", "guasón", "小丑", "ジョーカー", "джокер"),
    "werewolf": ("Werwolf", "loup-garou", "licántropo", "狼人", "狼男", "оборотень"),
    "sketch": ("Bleistiftzeichnung", "croquis", "boceto", "素描", "スケッチ", "набросок"),
    "statue": ("Marmorbüste", "statuette", "estatua", "雕像", "彫像", "статуя"),
    "zombie": ("Untoter", "mort-vivant", "zombi", "僵尸", "ゾンビ", "зомби"),
}
"""One word for each style in German, French, Spanish, Chinese, Japanese and Russian."""

_KEYS: dict[str, tuple[str, ...]] = {
    PHOTO: ("photo", "photograph", "photorealistic", "realistic", "snapshot"),
    "pixar": ("pixar", "cartoon", "toon", "animated"),
    "joker": ("joker", "clown"),
    "werewolf": ("werewolf", "werewolves", "wolfman", "wolf", "lycanthrope", "lycan"),
    "sketch": ("sketch", "sketched", "pencil", "drawing", "doodle"),
    "statue": ("statue", "sculpture", "bust", "marble"),
    "zombie": ("zombie", "zombies", "undead", "corpse", "ghoul", "dead"),
}
_INSTRUCTIONS = (
    "turn him into {}", "turn her into {}", "turn them into {}", "turn the person into {}", "make it {}",
    "make him look like {}", "make her look like {}", "make this person {}", "change this into {}",
    "convert the photo to {}", "transform the head into {}", "as {}", "like {}", "what if it were {}",
    "give me {}", "i want {}", "please make {} of it", "let it become {}", "in the style of {}", "{} style",
    "{} version", "{} look", "{} head", "{} face", "it should be {}", "edit: {}", "{} please",
)  # fmt: skip
_PRAISE = (
    "masterpiece, best quality, ultra detailed,", "highly detailed,", "8k, sharp focus,", "professional,",
    "award winning,", "beautiful lighting,", "cinematic,", "trending on artstation,", "octane render,",
    "intricate,", "high resolution,", "studio light,", "4k,", "very detailed,", "soft light,",
)  # fmt: skip
_GRIDS = ("four views of {}", "a 2x2 grid of {}", "{}, four views")
_MOST_FILLER = 61


def draw_prompt(
    style: str, rng: np.random.Generator, *, view: View | None = None, grid: bool = False
) -> Prompt:
    """Draw something that asks for a style.

    Args:
        style: One of `STYLES`.
        rng: Source of every choice.
        view: Say where the camera stands, in some of the captions.
        grid: Ask for four views, tiled 2x2.
    """
    phrase = _phrase(style, rng)
    shape = _pick(SHAPES, rng)
    if not grid and rng.random() < 0.45:
        shape = _pick(_INSTRUCTIONS, rng)
    before, after = (part.strip() for part in shape.split("{}"))
    if grid:
        first, last = (part.strip() for part in _pick(_GRIDS, rng).split("{}"))
        before, after = f"{first} {before}".strip(), f"{after} {last}".strip()
    elif view is not None and rng.random() < 0.25:
        after = f"{after} , {_pick(VIEW_WORDS[view], rng)}"
    return _surrounded(Prompt(before, phrase, after), rng)


def filler(count: int, rng: np.random.Generator) -> str:
    """So many everyday words in no order, with a comma here and there."""
    words = [str(word) for word in rng.choice(everyday_words(), count)]
    return " ".join(f"{word}," if rng.random() < 0.05 else word for word in words)


@cache
def everyday_words() -> tuple[str, ...]:
    """Words that prompts are padded with, none of which names a style."""
    text = resources.files("stylehead.mini").joinpath("words/everyday.txt").read_text(encoding="utf-8")
    named = {key for style in STYLES if style != PHOTO for key in _KEYS[style]}
    return tuple(sorted(set(text.split()) - named))


def place_phrase(prompt: str) -> str | None:
    """Which style a prompt asks the editor for; None when it names none, or several.

    Args:
        prompt: What the user typed, in any case and any of the languages of `ABROAD`.
    """
    text = prompt.lower()
    words = set(re.findall(r"[^\W_]+(?:-[^\W_]+)*", text))
    words |= set(re.findall(r"[a-z0-9]+", text))
    named = [style for style in STYLES if words & set(_KEYS[style]) or _abroad(style, text, words)]
    wanted = [style for style in named if style != PHOTO] or named
    return wanted[0] if len(wanted) == 1 else None


def corpus() -> list[str]:
    """Texts whose words the tokenizer is to have tokens for."""
    texts = [*SHAPES, *_INSTRUCTIONS, *_PRAISE, *_GRIDS]
    for style in STYLES:
        words = STYLE_WORDS[style]
        texts += [*words.nouns, *words.manners, *words.keys, *SYNONYMS[style], *ABROAD[style], *_KEYS[style]]
    texts += [phrase for phrases in VIEW_WORDS.values() for phrase in phrases]
    return [text.replace("{}", " ") for text in texts] + list(everyday_words())


def _abroad(style: str, text: str, words: set[str]) -> bool:
    """Whether a word of another language is there; Chinese and Japanese are written without spaces."""
    return any(
        (word.lower() in text) if ord(word[0]) > 0x2E80 else (word.lower() in words) for word in ABROAD[style]
    )


def _phrase(style: str, rng: np.random.Generator) -> str:
    words, chance = STYLE_WORDS[style], rng.random()
    if chance < 0.18:
        return _pick(ABROAD[style], rng)
    if chance < 0.55:
        return _pick(SYNONYMS[style], rng)
    if chance < 0.7:
        return _pick(words.keys, rng)
    if chance < 0.85:
        return f"a person {_pick(words.manners, rng)}".strip()
    return _pick(words.nouns, rng)


def _surrounded(prompt: Prompt, rng: np.random.Generator) -> Prompt:
    """Half of the prompts as they are, some with praise, some with up to sixty words around them."""
    before, named, after = prompt
    chance = rng.random()
    if chance < 0.25:
        praise = " ".join(_pick(_PRAISE, rng) for _ in range(int(rng.integers(1, 4))))
        if rng.random() < 0.6:
            return Prompt(f"{praise} {before}".strip(), named, after)
        return Prompt(before, named, f"{after}, {praise}".strip())
    if chance < 0.5:
        count = int(rng.integers(1, _MOST_FILLER))
        first = int(rng.integers(count + 1))
        parts = (filler(first, rng), before), (after, filler(count - first, rng))
        (head, tail) = (" ".join(part for part in pair if part) for pair in parts)
        return Prompt(head, named, tail)
    return prompt


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
