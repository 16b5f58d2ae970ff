"""The systems of the table, in the order of the paper's: what they are called and whether they can run here.

A method that `stylehead stylize --method` knows can be trained for the table; a new one takes its place as
soon as it has settings in `stylehead.method_settings`. The others edit untouched pictures one by one. What
cannot run keeps its row, with a dash in every column and the reason; a folder of its pictures can be given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stylehead.config import StylizeConfig, profile
from stylehead.errors import UsageError
from stylehead.method_settings import METHOD_SETTINGS

PAPER_PROMPTS = {
    "pixar": "Pixar character",
    "joker": "Portrait of the Joker",
    "werewolf": "Portrait of a werewolf",
    "sketch": "pencil sketch",
    "statue": "marble statue",
}
"""The five styles of the paper's table, as the prompts that they are asked for with."""

PROMPTS = {**PAPER_PROMPTS, "zombie": "Portrait of a zombie"}
"""And the sixth of its project page: all that the embedded teacher knows."""

UNTOUCHED = "untouched"
TRUE = "true pictures"


@dataclass(frozen=True)
class Method:
    """A system of the table.

    Attributes:
        name: What `--methods` takes.
        title: What the table prints.
        pictures_only: It edits pictures one by one and has no 3D head.
        settings: What it is called with, and in what it differs from that method's defaults.
    """

    name: str
    title: str
    pictures_only: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)


OURS = "stylehead"
_PAPER_TERMS: dict[str, object] = {
    "method": "ld", "step_range": (35, 49), "grid_step_range": (35, 49), "step_window": 0,
    "tweedie_weight": 0.1, "relative_distance_weight": 1.0,
    "alpha_weight": 0.0, "latent_weight": 0.0,
}  # fmt: skip
"""The paper's noise levels and regularisers, but for LPIPS, for which there is no network. The drawn noise
stays subtracted, which changes no expectation; budget, guidance and backgrounds are everybody's."""

METHODS = (
    Method("ip2p", "InstructPix2Pix (2D)", pictures_only=True),
    Method("instantid", "InstantID (2D)", pictures_only=True),
    Method("styleclip", "StyleCLIP"),
    Method("nada", "StyleGAN-NADA"),
    Method("styleganfusion", "StyleGAN-Fusion"),
    Method("diffusiongan3d", "DiffusionGAN3D (re-implementation)"),
    Method("sds", "SDS"),
    Method("csd", "CSD"),
    Method("ld", "LD (the paper)", settings=_PAPER_TERMS),
    Method(OURS, "stylehead (ours)", settings={"method": "ld"}),
)
"""All of them, LD after the rivals as in the paper, and last what `stylehead stylize` does."""


def find_methods(names: str) -> tuple[Method, ...]:
    """Read `all`, or names joined by commas.

    Raises:
        UsageError: A name is unknown, or there is none.
    """
    known = {method.name: method for method in METHODS}
    known |= {name: Method(name, name) for name in METHOD_SETTINGS if name not in known}
    if names == "all":
        return tuple(known.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise UsageError(f"`--methods` (={name}) must be all, or some of {', '.join(known)}.")
    if not wanted:
        raise UsageError(f"`--methods` must be all, or some of {', '.join(known)}.")
    return tuple(known[name] for name in dict.fromkeys(wanted))


def row_of(config: StylizeConfig) -> str:
    """Which row a run belongs to, by name: one of LD is ours if it has our anchors."""
    if config.method == "ld" and (config.latent_weight or config.alpha_weight):
        return OURS
    return config.method


def method_title(name: str) -> str:
    """What the table prints for a method."""
    return next((method.title for method in METHODS if method.name == name), name)


def method_order(name: str) -> int:
    """Place of a method in the table; methods that it does not know come first."""
    names = [method.name for method in METHODS]
    return names.index(name) if name in names else -1


def find_prompts(given: list[str]) -> tuple[str, ...]:
    """Read prompts: texts, or `paper` for its five styles, or `all` for those of the embedded teacher."""
    sets = {"paper": tuple(PAPER_PROMPTS.values()), "all": tuple(PROMPTS.values())}
    prompts = [prompt for text in given for prompt in sets.get(text.strip().lower(), (text,))]
    return tuple(dict.fromkeys(prompts))


_PLAIN = {"mirror": False, "grid": False, "rank": "none"}

ABLATION: dict[str, dict[str, object]] = {
    "SDS": {**_PLAIN, "score": "sds", "canny": False},
    "SDS + ControlNet": {**_PLAIN, "score": "sds"},
    "LD + ControlNet": _PLAIN,
    "+ rank weighing": {"mirror": False, "grid": False},
    "+ grid after SR": {"mirror": False, "grid_mode": "after_sr"},
    "+ grid before SR": {"mirror": False},
    "+ mirror (ours)": {},
}
"""The ladder of the paper's ablation, as changes to the default settings; all else is equal in every row."""


def ablation_config(variant: str, prompt: str, changes: dict[str, object]) -> StylizeConfig:
    """Settings of a row of the ablation."""
    settings: dict[str, object] = {**profile(), **ABLATION[variant], **changes, "prompt": prompt}
    return StylizeConfig.from_dict(settings)


def method_config(method: str, prompt: str, changes: dict[str, object]) -> StylizeConfig:
    """Settings of a method of the table that is trained.

    Raises:
        UsageError: There is none of that name.
    """
    own = next((dict(row.settings) for row in METHODS if row.name == method), {})
    base = own.get("method", method)
    if base not in METHOD_SETTINGS:
        raise UsageError(f"There is no method {method} to train.")
    defaults = profile("default", method=base)  # type: ignore[arg-type]
    return StylizeConfig.from_dict({**defaults, **own, **changes, "prompt": prompt})
