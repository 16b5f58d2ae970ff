"""The systems of the table, in the order of the paper's: what they are called and whether they can run here.

Every method that can be trained has its rows, as its class says; so have those that other distributions
bring. Before them stand systems that edit untouched pictures one by one. What cannot run keeps its row, with
a dash in every column and the reason; a folder of its pictures can be given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stylehead.errors import JobError, UsageError
from stylehead.methods.config import StylizeConfig, profile
from stylehead.methods.qualities import iterations_within
from stylehead.methods.registry import DEFAULT, Variant, method_class, table_order

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
ORACLE = "oracle"
"""A run that learned from true pictures instead of edits; what others gain is measured by it."""


@dataclass(frozen=True)
class System:
    """A system of the table."""

    name: str
    """What `--methods` takes."""
    title: str
    """What the table prints."""
    method: str | None = None
    """The method that is trained; None for one that edits pictures one by one and has no 3D head."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """In what it differs from that method's defaults."""
    step: float | None = None
    """Seconds of an iteration over the embedded models, where they are not those of the method's pace."""

    @property
    def pictures_only(self) -> bool:
        """Whether it edits pictures one by one."""
        return self.method is None


EDITORS = (System("ip2p", "InstructPix2Pix (2D)"), System("instantid", "InstantID (2D)"))
"""What edits pictures."""


def systems() -> tuple[System, ...]:
    """Return all: editors, the paper's rivals, the paper, what `stylehead stylize` does, and others'."""
    trained = (
        System(row.name, row.title, name, row.settings, row.step)
        for name in table_order()
        for row in _variants(name)
    )
    return (*EDITORS, *trained)


def _variants(method: str) -> tuple[Variant, ...]:
    """Return a method's rows; one that another distribution brings broken keeps a row, which cannot run."""
    try:
        return method_class(method).variants()
    except JobError:
        return (Variant(method, method),)


def find_methods(names: str) -> tuple[System, ...]:
    """Read `all`, or names joined by commas.

    Raises:
        UsageError: A name is unknown, or there is none.
    """
    known = {system.name: system for system in systems()}
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
    """Return the name of the row that a run belongs to, which its method says."""
    return method_class(config.method).variant_of(config)


def method_title(name: str) -> str:
    """Return what the table prints for a method."""
    if name == ORACLE:
        return "oracle: true pictures of others"
    return next((system.title for system in systems() if system.name == name), name)


def method_order(name: str) -> int:
    """Return the place of a method in the table; what it does not know comes first."""
    names = [system.name for system in systems()]
    return names.index(name) if name in names else -1


def find_prompts(given: list[str]) -> tuple[str, ...]:
    """Read prompts: texts, or `paper` for its five styles, or `all` for those of the embedded teacher."""
    sets = {"paper": tuple(PAPER_PROMPTS.values()), "all": tuple(PROMPTS.values())}
    prompts = [prompt for text in given for prompt in sets.get(text.strip().lower(), (text,))]
    return tuple(dict.fromkeys(prompts))


def ladder() -> Mapping[str, Mapping[str, object]]:
    """Return the ladder of the paper's ablation: rows, and how they differ from the defaults."""
    return method_class(DEFAULT).ablation


def ablation_config(variant: str, prompt: str, changes: dict[str, object]) -> StylizeConfig:
    """Return the settings of a row of the ablation."""
    settings: dict[str, object] = {**profile(), **ladder()[variant], **changes, "prompt": prompt}
    return StylizeConfig.from_dict(settings)


def method_config(
    name: str, prompt: str, changes: dict[str, object], *, minutes: float | None = None
) -> StylizeConfig:
    """Return the settings of a system of the table that is trained.

    Args:
        name: What `--methods` takes.
        prompt: The prompt.
        changes: Settings that all rows share.
        minutes: Time that it has, as it goes over the embedded models on two idle cores; None: its own steps.

    Raises:
        UsageError: There is none of that name, or nobody knows how long a step of it takes.
    """
    system = next((system for system in systems() if system.name == name), None)
    if system is None or system.method is None:
        raise UsageError(f"There is no method {name} to train.")
    defaults = profile("default", method=system.method)
    config = StylizeConfig.from_dict({**defaults, **system.settings, **changes, "prompt": prompt})
    if minutes is None:
        return config
    steps = iterations_within(config, minutes, step=system.step)
    if steps is None:
        why = f"`--minutes` (={minutes:g}): how long a step of {name} takes is not known."
        raise UsageError(why, "--iterations gives every row as many steps")
    return config.replace(iterations=steps)
