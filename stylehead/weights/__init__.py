"""Where weights are, what they are, and under which licence."""

from stylehead.weights.presets import Preset, PresetName, Resolved, WeightFile, resolve_preset

__all__ = ["Preset", "PresetName", "Resolved", "WeightFile", "resolve_preset"]
