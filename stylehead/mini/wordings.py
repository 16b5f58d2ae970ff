"""Prompts that no training caption ever was: other wordings of the styles, and prompts of other worlds.

They tell whether the teacher understands what it is asked or only remembers sentences, and whether a prompt
that it cannot know is refused. Nothing trains on them.
"""

from stylehead.mini.captions import PROMPTED_STYLES

_WORDINGS = (
    "{}",
    "{} style",
    "{} head",
    "{} face",
    "{} look",
    "{} character",
    "{} picture",
    "a head in the style of {}",
    "the face of {}",
    "the face of a person in {} style",
    "a portrait in {} style",
    "a man in {} style",
    "a woman in {} style",
    "a human head in {} style",
    "a face in the style of {}",
    "picture of a person, {} style",
    "one head, {}",
    "{} portrait of a person",
    "{}, a portrait",
    "a face, {} style, seen from the front",
)

HELD_OUT_WORDINGS: dict[str, tuple[str, ...]] = {
    style: tuple(wording.format(style) for wording in _WORDINGS) for style in PROMPTED_STYLES
}
"""Twenty wordings of every style."""

FOREIGN_PROMPTS = (
    "an anime girl", "a cat", "portrait of a vampire", "an elf with long ears", "a robot made of chrome",
    "oil painting by Van Gogh", "a Lego figure", "Homer Simpson", "a medieval knight", "an astronaut",
    "Shrek", "a clown", "a mummy", "a skeleton", "a frog prince", "Yoda", "a Disney princess", "a pirate",
    "Batman", "a gingerbread man", "a Minecraft head", "cyberpunk hacker", "a claymation figure",
    "watercolour of a child", "a wooden puppet", "bronze bust of Caesar", "an old wizard", "a snowman",
    "Spider-Man", "a Viking with a helmet", "an alien", "a bodybuilder", "Mona Lisa", "a baby",
    "a goblin", "an orc warrior", "the Hulk", "a ghost", "a samurai", "Mickey Mouse", "a lion's head",
    "steampunk inventor", "a porcelain doll", "a Roman emperor", "Einstein", "a mermaid", "a scarecrow",
    "pop art by Warhol", "a house by the sea", "quantum chromodynamics",
)  # fmt: skip
"""Fifty prompts for things that the embedded teacher has never seen."""
