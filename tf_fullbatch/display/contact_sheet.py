"""A contact sheet: rows of one sample each, as it is and augmented."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from tf_fullbatch.display.axes import new_figure

_GAP = 0.08
"""White between images, as a part of their side."""
_GAP_OF_NOTES = 0.18
"""The same where there are notes above them."""


class ContactSheet(NamedTuple):
    """What is drawn.

    Attributes:
        images: uint8 `[rows, columns, height, width, 1 or 3]`.
        labels: Of the rows.
        titles: Of the columns.
        notes: Of each row's images, "" for none; () for none of all.
    """

    images: np.ndarray
    labels: list[str]
    titles: list[str]
    notes: Sequence[Sequence[str]] = ()

    @property
    def has_notes(self) -> bool:
        """Whether there is one."""
        return any(note for of_row in self.notes for note in of_row)


def draw_contact_sheet(sheet: ContactSheet, title: str) -> Figure:
    """The sheet as a figure, each pixel a square, under a title."""
    rows, columns, height, width = sheet.images.shape[:4]
    gap = max(1, round((_GAP_OF_NOTES if sheet.has_notes else _GAP) * max(height, width)))
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = sheet.images[row, column]
    figure = new_figure(1.2 + 0.9 * columns, 0.8 + 0.9 * rows * height / width)
    axes = figure.add_subplot()
    axes.imshow(canvas, interpolation="nearest")
    for row, of_row in enumerate(sheet.notes):
        for column, note in enumerate(of_row):
            left, top = column * (width + gap), row * (height + gap)
            axes.text(left, top - 0.7, note, fontsize=5, color="0.4", va="bottom")
    axes.set_xticks([column * (width + gap) + width / 2 for column in range(columns)], sheet.titles)
    axes.set_yticks([row * (height + gap) + height / 2 for row in range(rows)], sheet.labels)
    axes.tick_params(axis="x", pad=9 if sheet.has_notes else 3.5)  # above the first row's notes
    axes.tick_params(length=0, labelsize=7, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=8)
    return figure
