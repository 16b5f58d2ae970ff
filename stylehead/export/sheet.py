"""Contact sheets: heads in rows, cameras in columns, on white, with thin margins and readable labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylehead.images import Pixels

INK = (38, 38, 42)
FAINT = (128, 128, 136)


@dataclass(frozen=True)
class SheetRow:
    """One row of a contact sheet."""

    label: str
    """Left of the pictures."""
    cells: Pixels
    """[V, H, W, 3], one picture a column; all rows have the same shape."""
    joined: bool = False
    """Belongs to the row above: no space between them."""
    captions: Sequence[str] = ()
    """Below the pictures, one each, the first columns first."""


@dataclass(frozen=True)
class SheetStyle:
    """Measures of a contact sheet, in pixels."""

    cell: int = 160
    """Width of a picture: the nearest whole fraction or multiple of its own that is not much larger."""
    gap: int = 2
    """Between pictures."""
    group_gap: int = 12
    """Between heads, and between the two halves of a split sheet."""
    margin: int = 14
    """Around everything."""
    font_size: int = 15
    caption_size: int = 12
    title_size: int = 20


def contact_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str = "",
    headings: Sequence[str] = (),
    split: int = 0,
    style: SheetStyle | None = None,
) -> Pixels:
    """Draw a contact sheet.

    Args:
        rows: At least one.
        title: First line.
        headings: Texts above the columns: one a column, or one for each half of a split sheet.
        split: Leave a wider gap before this column (0: none).
        style: Measures.

    Returns:
        [H, W, 3].
    """
    style = style or SheetStyle()
    layout = _Layout(rows, title, headings, split, style)
    canvas = Image.new("RGB", (layout.width, layout.height), "white")
    draw = ImageDraw.Draw(canvas)
    if title:
        draw.text((layout.x(0), style.margin), title, INK, _font(style.title_size))
    _draw_headings(draw, layout, headings)
    for index, row in enumerate(rows):
        middle = layout.y(index) + layout.cell[1] // 2
        draw.text((layout.label_x, middle), row.label, INK, _font(style.font_size), anchor="rm")
        for column, pixels in enumerate(row.cells):
            picture = Image.fromarray(pixels).resize(layout.cell, Image.Resampling.LANCZOS)
            canvas.paste(picture, (layout.x(column), layout.y(index)))
        for column, text in enumerate(row.captions):
            below = (
                layout.centre(column, column),
                layout.y(index) + layout.cell[1] + style.caption_size // 2 + 3,
            )
            fitting = _fitting(text, layout.cell[0], _font(style.caption_size))
            draw.text(below, fitting, FAINT, _font(style.caption_size), anchor="mm")
    return np.asarray(canvas)


class _Layout:
    """Where everything goes."""

    def __init__(
        self, rows: Sequence[SheetRow], title: str, headings: Sequence[str], split: int, style: SheetStyle
    ) -> None:
        self._rows, self._split, self._style = rows, split, style
        self.columns, height, width = rows[0].cells.shape[:3]
        scale = _scale(width, style.cell)
        self.cell = round(width * scale), round(height * scale)
        font = _font(style.font_size)
        label_width = math.ceil(max(font.getlength(row.label) for row in rows))
        self.label_x = style.margin + label_width
        self._left = self.label_x + (8 if label_width else 0)
        lines = (style.title_size + 10) * bool(title) + (style.font_size + 8) * bool(headings)
        self._top = style.margin + lines
        pictures = self.x(self.columns - 1) + self.cell[0]
        title_end = self._left + math.ceil(_font(style.title_size).getlength(title))
        self.width = max(pictures, title_end) + style.margin
        self.height = self.y(len(rows) - 1) + self.cell[1] + self._caption(rows[-1]) + style.margin

    def x(self, column: int) -> int:
        """Left edge of a column."""
        extra = self._style.group_gap if self._split and column >= self._split else 0
        return self._left + column * (self.cell[0] + self._style.gap) + extra

    def y(self, row: int) -> int:
        """Upper edge of a row."""
        groups = sum(not item.joined for item in self._rows[1 : row + 1])
        captions = sum(self._caption(item) for item in self._rows[:row])
        return self._top + row * (self.cell[1] + self._style.gap) + groups * self._style.group_gap + captions

    def _caption(self, row: SheetRow) -> int:
        """Height of a row's captions."""
        return self._style.caption_size + 6 if row.captions else 0

    def centre(self, first: int, last: int) -> int:
        """Middle of the columns from `first` to `last`, both included."""
        return (self.x(first) + self.x(last) + self.cell[0]) // 2

    @property
    def heading_y(self) -> int:
        """Middle line of the headings."""
        return self._top - 6 - self._style.font_size // 2


def _draw_headings(draw: ImageDraw.ImageDraw, layout: _Layout, headings: Sequence[str]) -> None:
    if not headings:
        return
    per_heading = layout.columns // len(headings)
    for index, text in enumerate(headings):
        centre = layout.centre(index * per_heading, (index + 1) * per_heading - 1)
        draw.text((centre, layout.heading_y), text, FAINT, _font(layout._style.font_size), anchor="mm")


def _scale(width: int, wanted: int) -> float:
    """Whole factor (enlarging) or divisor (reducing) that brings `width` near `wanted`: no soft pixels."""
    if width <= wanted:
        return max(1, round(wanted / width))
    return 1 / max(1, round(width / wanted))


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The text, its middle left out where it is wider than a picture: names begin and angles end it."""
    cut = text
    for left_out in range(1, len(text) - 2):
        if font.getlength(cut) <= width:
            break
        start = (len(text) - left_out) // 2
        cut = f"{text[:start].rstrip()}…{text[start + left_out :].lstrip()}"
    return cut


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # a size always gives the scalable font
    return font
