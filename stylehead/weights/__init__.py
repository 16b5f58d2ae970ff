"""Where weights are, what they are, and under which licence."""

from typing import TYPE_CHECKING, Any

from stylehead.weights.presets import Preset, PresetName, Resolved, WeightFile, resolve_preset

if TYPE_CHECKING:
    from stylehead.weights.snapshot import ImportedSnapshot, import_snapshot

__all__ = [
    "ImportedSnapshot",
    "Preset",
    "PresetName",
    "Resolved",
    "WeightFile",
    "import_snapshot",
    "resolve_preset",
]


def __getattr__(name: str) -> Any:
    """Load what needs numpy only when it is asked for: `stylehead --help` does not wait for it."""
    if name in ("ImportedSnapshot", "import_snapshot"):
        from stylehead.weights import snapshot

        return getattr(snapshot, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
