"""Where weights are, what they are, and under which licence."""

from stylehead.weights.presets import Preset, PresetName, Resolved, WeightFile, resolve_preset
from stylehead.weights.snapshot import Imported, import_snapshot

__all__ = [
    "Imported",
    "Preset",
    "PresetName",
    "Resolved",
    "WeightFile",
    "import_snapshot",
    "resolve_preset",
]
