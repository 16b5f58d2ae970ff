"""The words of the embedded world: its styles, how captions speak of them, and which prompts it can place.

The embedded teacher was trained on captions from this grammar and on nothing else. A prompt that names none
of its styles is refused, with the list of those it knows, instead of being answered with a guess.
"""

import difflib
import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stylehead.errors import UsageError

View = Literal["front", "side", "back"]

PHOTO = "photo"


@dataclass(frozen=True)
class StyleWords:
    """How one style is spoken of.

    Attributes:
        nouns: Noun phrases for a head in this style, each with its article.
        manners: Phrases that follow a noun for a person ("a person <manner>").
        keys: Words of which one must occur in a prompt for the style to be meant.
    """

    nouns: tuple[str, ...]
    manners: tuple[str, ...]
    keys: tuple[str, ...]


STYLE_WORDS: dict[str, StyleWords] = {
    "photo": StyleWords(
        ("a person", "a human head", "a man or a woman", "a face"),
        ("in a photograph", "as a realistic photo", ""),
        ("photo", "photograph", "photorealistic", "realistic"),
    ),
    "pixar": StyleWords(
        ("a pixar character", "a pixar 3d animated character", "a character from a pixar film"),
        ("in pixar style", "in the style of pixar", "as a pixar character"),
        ("pixar",),
    ),
    "joker": StyleWords(
        ("the joker", "a joker", "a joker with green hair and white paint"),
        ("as the joker", "with joker make-up", "in the style of the joker"),
        ("joker",),
    ),
    "werewolf": StyleWords(
        ("a werewolf", "a furry werewolf", "a werewolf with yellow eyes"),
        ("as a werewolf", "turned into a werewolf", "in werewolf style"),
        ("werewolf", "werewolves"),
    ),
    "sketch": StyleWords(
        ("a pencil sketch", "a black and white sketch", "a sketch of a person"),
        ("as a pencil sketch", "in sketch style", "drawn as a sketch"),
        ("sketch", "sketched"),
    ),
    "statue": StyleWords(
        ("a marble statue", "a statue", "a white stone statue"),
        ("as a marble statue", "as a statue", "carved as a statue"),
        ("statue",),
    ),
    "zombie": StyleWords(
        ("a zombie", "a rotting zombie", "a green zombie"),
        ("as a zombie", "turned into a zombie", "in zombie style"),
        ("zombie", "zombies"),
    ),
}

STYLES = tuple(STYLE_WORDS)
PROMPTED_STYLES = tuple(style for style in STYLES if style != PHOTO)

SHAPES = ("{}", "portrait of {}", "a portrait of {}", "the head of {}", "{} portrait", "a picture of {}")
VIEW_WORDS: dict[View, tuple[str, ...]] = {
    "front": ("front view", "seen from the front"),
    "side": ("side view", "seen from the side"),
    "back": ("back view", "seen from behind"),
}
_GRID_WORDS = ("four views of {}", "a 2x2 grid of {}", "{}, four views")


def caption(
    style: str,
    rng: np.random.Generator,
    *,
    view: View | None = None,
    grid: bool = False,
) -> str:
    """Draw a caption for a picture of the embedded world.

    Args:
        style: One of `STYLES`.
        rng: Where the wording comes from.
        view: Say where the camera stands, in some of the captions.
        grid: The picture shows four views, tiled 2x2.
    """
    words = STYLE_WORDS[style]
    phrase = _pick(words.nouns, rng)
    if rng.random() < 0.4:
        phrase = f"a person {_pick(words.manners, rng)}".strip()
    phrase = _pick(SHAPES, rng).format(phrase)
    if grid and rng.random() < 0.5:
        return _pick(_GRID_WORDS, rng).format(phrase)
    if view is not None and not grid and rng.random() < 0.4:
        return f"{phrase}, {_pick(VIEW_WORDS[view], rng)}"
    return phrase


def all_words() -> list[str]:
    """Every word a caption can contain, sorted: what the embedded tokenizer has whole tokens for."""
    texts = [*SHAPES, *_GRID_WORDS, "a person"]
    for words in STYLE_WORDS.values():
        texts += [*words.nouns, *words.manners, *words.keys]
    for phrases in VIEW_WORDS.values():
        texts += phrases
    return sorted({word for text in texts for word in re.findall(r"[a-z0-9]+|[^\sa-z0-9{}]", text.lower())})


@functools.cache
def synonyms() -> dict[str, list[str]]:
    """Return other words for the styles, in several languages, that no caption has."""
    found: dict[str, list[str]] = json.loads(_SYNONYMS.read_text(encoding="utf-8"))
    return found


_SYNONYMS = Path(__file__).with_name("synonyms.json")
NEAR = {"disney": "pixar", "cartoon": "pixar", "wolf": "werewolf", "drawing": "sketch", "marble": "statue"}
"""Words that mean something else, but where one of the styles may be meant."""
_NEGATIONS = r"(?:not|no|never|without|isn't|non|kein|keine|nicht|sin|sans)"


def known_words(prompt: str) -> str:
    """Put the styles' own words in the place of their synonyms; a prompt without any stays as it is."""
    for style, others in synonyms().items():
        for synonym in sorted(others, key=len, reverse=True):
            prompt = re.sub(_phrase(synonym), style, prompt, flags=re.IGNORECASE)
    return prompt


def _phrase(words: str) -> str:
    """A pattern that finds words as a whole; scripts without spaces have no borders."""
    spaces = re.escape(words).replace("\\ ", r"[\s-]+")
    return rf"\b{spaces}\b" if words[0] < "\u3000" else spaces


def place_prompt(prompt: str) -> str:
    """Say which style of the embedded world a prompt asks for.

    Args:
        prompt: What the user typed, any case, in any script.

    Returns:
        One of `PROMPTED_STYLES` or "photo".

    Raises:
        UsageError: The prompt is empty, names no style of this world, names several, or says what not to be.
    """
    words = re.findall(r"[^\W_]+", known_words(prompt).casefold())
    if not words:
        raise UsageError("The prompt is empty.", 'stylehead stylize --prompt "Pixar character"')
    named = [style for style in PROMPTED_STYLES if set(words) & set(STYLE_WORDS[style].keys)]
    if not named and set(words) & set(STYLE_WORDS[PHOTO].keys):
        named = [PHOTO]
    known = ", ".join(PROMPTED_STYLES)
    if not named:
        raise UsageError(
            f'The embedded teacher has never seen "{prompt}"; it knows {known}.', _suggest(words)
        )
    if len(named) > 1:
        raise UsageError(
            f'"{prompt}" names {" and ".join(named)}; the embedded teacher learned one style at a time.',
            f"name one of: {known}",
        )
    keys = "|".join(STYLE_WORDS[named[0]].keys)
    if re.search(rf"\b{_NEGATIONS}\b(?: \w+){{0,2}} (?:{keys})\b", " ".join(words)):
        raise UsageError(
            f'"{prompt}" only says what heads should not look like.',
            f"say what they should look like: {known}",
        )
    return named[0]


def _suggest(words: Sequence[str]) -> str:
    """What may have been meant by words that name no style, and the way to others."""
    elsewhere = "give pictures that you edited with --bank FOLDER, or use --preset panohead"
    keys = {key: style for style in PROMPTED_STYLES for key in STYLE_WORDS[style].keys}
    for word in words:
        near = difflib.get_close_matches(word, keys, n=1, cutoff=0.75)
        meant = keys[near[0]] if near else NEAR.get(word)
        if meant is not None:
            return f'did you mean "{meant}"? For other styles {elsewhere}'
    return f"name one of these, {elsewhere}"


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
