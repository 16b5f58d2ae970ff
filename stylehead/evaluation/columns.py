"""The columns of the table: every metric with its name, its direction and how it is taken from a row."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from stylehead.errors import StyleheadError, UsageError
from stylehead.evaluation.case import Case
from stylehead.evaluation.measure_people import (
    measure_diversity,
    measure_diversity_id,
    measure_id,
    measure_id_rank1,
)
from stylehead.evaluation.measure_shape import (
    measure_dd_geo,
    measure_dd_mono,
    measure_gt_iou,
    measure_gt_perceptual,
    measure_gt_psnr,
    measure_mv_reproj,
)
from stylehead.evaluation.measure_style import (
    measure_clip_img,
    measure_cmmd,
    measure_fd_mini,
    measure_fid,
    measure_kd_mini,
    measure_kid,
    measure_style,
    prompted,
)
from stylehead.evaluation.metrics.clip_score import clip_score
from stylehead.evaluation.metrics.clip_text import clip_text
from stylehead.evaluation.numbers import Cell, Dash, Number

Measure = Callable[[Case], Number]
Group = Literal["paper", "style", "people", "shape"]

GROUPS: dict[Group, str] = {
    "paper": "the paper's columns",
    "style": "style",
    "people": "people",
    "shape": "shape and truth",
}


@dataclass(frozen=True)
class Column:
    """A metric of the table."""

    name: str
    better: Literal["higher", "lower"]
    group: Group
    digits: int
    about: str
    measure: Measure

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↑" if self.better == "higher" else "↓"


def measure_row(case: Case, columns: Sequence[Column]) -> dict[str, Cell]:
    """Measure every column of a row; what cannot be measured becomes a dash that says why."""
    cells: dict[str, Cell] = {}
    for column in columns:
        try:
            cells[column.name] = column.measure(case)
        except StyleheadError as error:
            cells[column.name] = Dash(error.message, error.hint)
    return cells


COLUMNS = (
    Column(
        "fid", "lower", "paper", 1,
        "Frechet Inception distance to the reference pictures", measure_fid,
    ),
    Column(
        "fd_mini", "lower", "paper", 3,
        "Frechet distance over features of the embedded image-text encoder; not FID", measure_fd_mini,
    ),
    Column(
        "clip_img", "higher", "paper", 3,
        "cosine of image embeddings to the reference picture of the same head and side", measure_clip_img,
    ),
    Column(
        "clip_score", "higher", "paper", 3,
        "2.5 times the cosine to the prompt, at least 0", prompted(clip_score),
    ),
    Column(
        "id", "higher", "paper", 3,
        "cosine of face embeddings to the untouched head, near-front views", measure_id,
    ),
    Column(
        "dd_mono", "lower", "paper", 3,
        "change of estimated depth inside the head, each depth scaled to 0..1", measure_dd_mono,
    ),
    Column(
        "dd_geo", "lower", "paper", 3,
        "change of rendered depth inside the head, each depth scaled to 0..1", measure_dd_geo,
    ),
    Column(
        "style", "higher", "style", 2,
        "share of pictures that a separate classifier calls by the style", measure_style,
    ),
    Column(
        "clip_text", "higher", "style", 3,
        "cosine of image and prompt embeddings", prompted(clip_text),
    ),
    Column(
        "kid", "lower", "style", 4,
        "kernel Inception distance to the reference pictures, unbiased", measure_kid,
    ),
    Column(
        "kd_mini", "lower", "style", 4,
        "kernel distance over features of the embedded image-text encoder; not KID", measure_kd_mini,
    ),
    Column(
        "cmmd", "lower", "style", 3,
        "1000 times the discrepancy of CLIP embeddings to the reference pictures, unbiased", measure_cmmd,
    ),
    Column(
        "id_rank1", "higher", "people", 2,
        "share of heads whose nearest untouched face is their own", measure_id_rank1,
    ),
    Column(
        "diversity", "higher", "people", 3,
        "perceptual distance between different people, same side; near 0 after a collapse", measure_diversity,
    ),
    Column(
        "diversity_id", "higher", "people", 3,
        "1 minus the cosine of the face embeddings of different people", measure_diversity_id,
    ),
    Column(
        "mv_reproj", "lower", "shape", 4,
        "colour difference of the surface that neighbouring views share", measure_mv_reproj,
    ),
    Column(
        "gt_perceptual", "lower", "shape", 3,
        "perceptual distance to the true stylised picture", measure_gt_perceptual,
    ),
    Column("gt_psnr", "higher", "shape", 2, "PSNR in dB to the true stylised picture", measure_gt_psnr),
    Column(
        "gt_iou", "higher", "shape", 3,
        "overlap of the outline with that of the true stylised head", measure_gt_iou,
    ),
)  # fmt: skip
"""All columns, those of the paper's table first."""


def find_column(name: str) -> Column:
    """The column of a name.

    Raises:
        UsageError: There is none; names the nearest.
    """
    for column in COLUMNS:
        if column.name == name:
            return column
    near = difflib.get_close_matches(name, [column.name for column in COLUMNS], n=1)
    raise UsageError(
        f"There is no column {name}; there are {', '.join(column.name for column in COLUMNS)}.",
        f"did you mean {near[0]}?" if near else None,
    )
