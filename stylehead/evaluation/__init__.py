"""How good a stylisation is: metrics with intervals, the table, and the report page.

A metric is one file in `metrics`, or comes with another distribution (see `columns`); what it is measured on
is put together in `comparison`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylehead.evaluation.columns import Column
    from stylehead.evaluation.comparison import Comparison
    from stylehead.evaluation.numbers import Number, Provenance, mean_over_people

__all__ = ["Column", "Comparison", "Number", "Provenance", "mean_over_people"]

_HOMES = {"Comparison": "comparison", "Column": "columns"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line starts without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'numbers')}"), name)
