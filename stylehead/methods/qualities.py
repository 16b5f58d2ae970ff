"""Presets of quality: `quick`, `good` and `best` are numbers of settings, which options override."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from stylehead.errors import UsageError
from stylehead.methods.config import PROFILES, BankSettings, StylizeConfig, profile
from stylehead.methods.registry import method_class

QualityName = Literal["quick", "good", "best"]
QUALITIES: tuple[QualityName, ...] = ("quick", "good", "best")
USUAL: QualityName = "good"
FULL_SCALE_MINUTES: Mapping[QualityName, int] = {"quick": 10, "good": 30, "best": 120}
"""What presets of the published size are made for, on a large GPU; computed, not measured."""
LONG_MINUTES = 10.0
"""A run that takes longer says so before it starts."""


class Timing(NamedTuple):
    """How long a method takes over the embedded models, on two idle cores.

    Attributes:
        step: Seconds of an iteration with the method's default number of pictures.
        person: Seconds for a person of a bank that the run makes, all sides.
    """

    step: float
    person: float = 0.0


def quality_settings(name: QualityName | None, method: str, *, full_scale: bool) -> dict[str, Any]:
    """Return the settings in which a preset of quality differs from a method's defaults.

    Args:
        name: The preset; None is the usual one, of which a method need not know.
        method: Its name.
        full_scale: For models of the published size, where numbers are computed, not measured.

    Raises:
        UsageError: There is no such preset, or the method has none.
    """
    if name is not None and name not in QUALITIES:
        raise UsageError(f"`--quality` (={name}) must be one of {', '.join(QUALITIES)}.")
    found = presets_of(method, full_scale=full_scale)
    if not found and name not in (None, USUAL):
        hint = f"stylehead stylize --method {method} --iterations NUMBER"
        raise UsageError(f"`--method {method}` has no presets of quality.", hint)
    return dict(found.get(name or USUAL, {}))


def start_settings(
    profile_name: str, quality: QualityName | None, method: str, *, full_scale: bool
) -> dict[str, Any]:
    """Return what a job starts from before options: a profile, or a preset of quality.

    Raises:
        UsageError: Both were asked for, or one is unknown.
    """
    start = profile(profile_name, method=method, full_scale=full_scale)
    if profile_name == PROFILES[0]:
        return start | quality_settings(quality, method, full_scale=full_scale)
    if quality is not None:
        raise UsageError("`--quality` does not go with `--profile`, whose numbers are its own.")
    return start


def at_quality(config: StylizeConfig, name: QualityName) -> StylizeConfig:
    """Return settings with the numbers of another preset over the embedded models."""
    presets, usual = presets_of(config.method, full_scale=False), type(config)(prompt=config.prompt)
    numbers = {key: getattr(usual, key) for preset in presets.values() for key in preset}
    return config.replace(**{**numbers, **presets[name]})


def presets_of(method: str, *, full_scale: bool) -> Mapping[str, Mapping[str, Any]]:
    """Return a method's presets by name; none when it has none."""
    kind = method_class(method)
    return kind.full_scale_qualities if full_scale else kind.qualities


def iterations_within(config: StylizeConfig, minutes: float, *, step: float | None = None) -> int | None:
    """Return how many iterations of a method fit into a time, over the embedded models on two idle cores.

    Args:
        config: Its settings; the edits of its bank come out of the same time.
        minutes: The time.
        step: Seconds of an iteration with the usual number of pictures; None is the method's own pace.

    Returns:
        At least 1; None when nobody has timed the method.
    """
    known = method_class(config.method).pace
    if known is None:
        return None
    pace = known if step is None else known._replace(step=step)
    one, two = (expected_minutes(config.replace(iterations=n), pace) for n in (1, 2))
    assert one is not None
    assert two is not None
    return max(1, 1 + int(round((minutes - one) / (two - one), 6)))


def expected_minutes(config: StylizeConfig, pace: Timing | None = None) -> float | None:
    """Return about how long a job takes over the embedded models.

    Args:
        config: Its settings.
        pace: As measured here with a person and a step of these settings; else that of two idle cores.

    Returns:
        Minutes without the loading of models and the drawing of results; None when they are not known.
    """
    pace = pace or method_class(config.method).pace
    if pace is None:
        return None
    usual = type(config)(prompt=config.prompt)
    pictures = config.batch * config.views / (usual.batch * usual.views)
    seconds = config.iterations * pace.step * pictures
    if isinstance(config, BankSettings) and config.bank is None:
        edits = (1 + config.refresh) * config.people * config.bank_views
        seconds += edits * pace.person / type(config).bank_views
    budget = config.time_budget_minutes
    return seconds / 60 if budget is None else min(budget, seconds / 60)
