"""What `stylehead eval` has to do: which finished runs there are, and which are still to be trained."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stylehead.bank.manifest import TRUE_EDITOR
from stylehead.errors import StyleheadError, UsageError, quoted
from stylehead.evaluation.baselines import why_no_editor
from stylehead.evaluation.systems import (
    ORACLE,
    System,
    ablation_config,
    find_methods,
    find_prompts,
    ladder,
    method_config,
    method_title,
    row_of,
)
from stylehead.methods.config import StylizeConfig
from stylehead.runs import MANIFEST, RunDirectory, slugify
from stylehead.weights.presets import Preset

RUNS = Path("runs")
STYLE_FILE = "style.safetensors"
_DEPTH = 3

NOT_COMPARED = (
    "checkpoint_every",
    "preview_every",
    "time_budget_minutes",
    "max_non_finite",
    "memory",
    "preset",
    "full_style",
)
"""Settings in which two runs may differ and still be the same experiment."""


class FoundRun(NamedTuple):
    """A finished run that belongs to this generator."""

    path: Path
    config: StylizeConfig
    manifest: dict[str, Any]


class Skipped(NamedTuple):
    """A run that is not measured, and why."""

    path: Path
    why: str


class Discovery(NamedTuple):
    """What lies in the folders of runs."""

    runs: list[FoundRun]
    skipped: list[Skipped]


@dataclass(frozen=True)
class Wanted:
    """A row that was asked for by its settings.

    Attributes:
        label: What the table prints.
        method: Name of the method.
        config: Settings to train with; None for a method that edits pictures.
        path: The finished run, or where it is trained; None for a method that edits pictures.
        state: `finished`, `stopped` (goes on), `missing` (is trained), `edits` (no training) or `cannot`.
        why: Why it cannot be measured.
    """

    label: str
    method: str
    prompt: str
    config: StylizeConfig | None
    path: Path | None
    state: Literal["finished", "stopped", "missing", "edits", "cannot"]
    why: StyleheadError | None = None


def find_runs(roots: Sequence[Path], generator: str) -> Discovery:
    """Look for finished runs.

    Args:
        roots: Runs, or folders of runs; `runs` when there is none.
        generator: Fingerprint of the generator that they must have started from.

    Raises:
        UsageError: A path that was named does not exist, or holds no run at all.
    """
    found: list[FoundRun] = []
    skipped: list[Skipped] = []
    for root in roots or [RUNS]:
        paths = list(_run_folders(root, _DEPTH))
        if roots and not root.exists():
            raise UsageError(f"`--runs` (={root}) does not exist.")
        if roots and not paths:
            raise UsageError(
                f"`--runs` (={root}) holds no run.", 'stylehead stylize --prompt "Pixar character"'
            )
        for path in paths:
            outcome = _look_at(path, generator)
            if isinstance(outcome, FoundRun):
                found.append(outcome)
            else:
                skipped.append(outcome)
    return Discovery(list({run.path.resolve(): run for run in found}.values()), skipped)


def plan_rows(
    methods: str | None,
    prompts: Sequence[str],
    *,
    ablation: bool,
    changes: dict[str, object],
    found: Sequence[FoundRun],
    generator: str,
    weights: Preset,
    minutes: float | None = None,
) -> list[Wanted]:
    """List the rows that `--methods`, `--prompts` and `--ablation` ask for.

    Args:
        methods: As typed.
        prompts: As typed.
        ablation: The ladder instead of methods.
        changes: Settings that all rows share.
        found: Finished runs; one with the same settings is not trained again.
        generator: Fingerprint of the generator.
        weights: The preset; what edits pictures comes with it, or not.
        minutes: Time that every method has in place of its usual steps.
    """
    default = ("Pixar character",) if ablation else ("paper",)
    texts = find_prompts(list(prompts or default))
    rows: list[Wanted] = []
    for prompt in texts:
        if ablation:
            for variant in ladder():
                config = ablation_config(variant, prompt, changes)
                rows.append(_wanted(variant, config, found, generator))
        else:
            for method in find_methods(methods or "all"):
                if method.pictures_only:
                    rows.append(_edited(method, prompt, weights))
                else:
                    config = method_config(method.name, prompt, changes, minutes=minutes)
                    rows.append(_wanted(method.title, config, found, generator))
    return rows


def row_of_run(run: FoundRun) -> str:
    """The name of the row that a run belongs to: the oracle's, where its bank is of true pictures."""
    true = TRUE_EDITOR in str(run.manifest.get("licence"))  # the editors of its bank are among the terms
    return ORACLE if true else row_of(run.config)


def label_runs(runs: Sequence[FoundRun]) -> dict[Path, str]:
    """What the table calls each run: its method, with the folder's name where that is not clear enough."""
    keys = {run.path: (run.config.prompt.lower(), row_of_run(run)) for run in runs}
    count = Counter(keys.values())
    labels = {}
    for run in runs:
        title = method_title(row_of_run(run))
        labels[run.path] = title if count[keys[run.path]] == 1 else f"{title}, {run.path.name}"
    return labels


def _edited(method: System, prompt: str, weights: Preset) -> Wanted:
    why = why_no_editor(method.name, weights)
    return Wanted(method.title, method.name, prompt, None, None, "cannot" if why else "edits", why)


def _wanted(label: str, config: StylizeConfig, found: Sequence[FoundRun], generator: str) -> Wanted:
    same = next((run for run in found if experiment(run.config) == experiment(config)), None)
    if same is not None:
        return Wanted(label, row_of(config), config.prompt, config, same.path, "finished")
    path = planned_path(label, config, generator)
    state: Literal["stopped", "missing"] = "stopped" if (path / MANIFEST).is_file() else "missing"
    return Wanted(label, row_of(config), config.prompt, config, path, state)


def planned_path(label: str, config: StylizeConfig, generator: str) -> Path:
    """Where a run of the table is trained: always the same folder for the same settings and generator."""
    content = json.dumps([experiment(config), generator], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:6]
    return RUNS / f"{slugify(config.prompt)}-{slugify(label)}-{digest}"


def experiment(config: StylizeConfig) -> dict[str, Any]:
    """The settings that decide about a run's result."""
    return {name: value for name, value in config.to_dict().items() if name not in NOT_COMPARED}


def _run_folders(root: Path, depth: int) -> Iterator[Path]:
    """Folders with a manifest, not deeper than `depth`; inside a run there is no other.

    A folder that may not be looked into may be a run.
    """
    try:
        is_run = (root / MANIFEST).is_file()
        inside = sorted(root.iterdir()) if depth > 0 and not is_run and root.is_dir() else []
    except PermissionError:
        is_run, inside = True, []
    if is_run:
        yield root
    for entry in inside:
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _run_folders(entry, depth - 1)


def _look_at(path: Path, generator: str) -> FoundRun | Skipped:
    try:
        manifest = RunDirectory.open(path).manifest()
        if manifest.get("job") == "invert":
            return Skipped(path, "it is an inversion, which has no style to measure")
        config = StylizeConfig.from_dict(manifest.get("config", {}))
    except StyleheadError as error:
        return Skipped(path, error.message)
    except OSError as error:  # one run that may not be read must not cost the others
        return Skipped(path, f"it cannot be read ({error.strerror})")
    if manifest.get("outcome") != "finished":
        return Skipped(path, f"it is not finished: stylehead stylize --resume {quoted(path)}")
    if not (path / STYLE_FILE).is_file():
        return Skipped(path, f"its {STYLE_FILE} is gone")
    if manifest.get("generator") != generator:
        return Skipped(path, "it was trained on another generator than this one")
    return FoundRun(path, config, manifest)
