"""From a prompt to an instruction: editors are told what to do, generators what to show."""

import re

_VERBS = frozenset({
    "add", "change", "convert", "dress", "draw", "give", "let", "make", "paint", "put", "remove", "render",
    "replace", "take", "transform", "turn",
})  # fmt: skip
_FRAMES = re.compile(
    r"^(?:an?\s+|the\s+)?(?:close-up\s+)?(?:portrait|head|face|bust|picture|photo|photograph|image)\s+of\s+",
    re.IGNORECASE,
)
_ARTICLES = frozenset(["a", "an", "the", "some", "his", "her", "their"])


def instruction_for(prompt: str) -> str:
    """Write an instruction: "Portrait of a werewolf" becomes "turn the person into a werewolf".

    A prompt that is an instruction already stays as it is.

    Args:
        prompt: What a head shall become, in words.
    """
    words = prompt.split()
    if words and words[0].lower() in _VERBS:
        return prompt.strip()
    subject = _FRAMES.sub("", prompt.strip()) or prompt.strip()
    first, *rest = subject.split()
    if rest and first.lower() not in _ARTICLES:
        subject = f"{'an' if first[0].lower() in 'aeiou' else 'a'} {subject}"
    return f"turn the person into {subject}"
