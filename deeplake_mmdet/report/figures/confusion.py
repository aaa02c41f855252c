"""The confusion matrix: shares of each true class as colour, counts as numbers."""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.report.confusion import Confusion
from deeplake_mmdet.report.figures.picture import INK, Picture, label, plain

_NARROW = 9  # rows that a phone shows without scrolling


def confusion_picture(confusion: Confusion) -> Picture:
    """The matrix; what is not told is left blank."""
    from matplotlib.figure import Figure

    counts = confusion.counts
    others = [f'{confusion.left_out} others'] if confusion.left_out else []
    names = [*(plain(name, 16) for name in confusion.names), *others, 'background']
    side = max(4.6, 1.9 + 0.37 * len(names))
    figure = Figure(figsize=(side + 0.6, side), layout='constrained')
    axes = figure.add_subplot()
    whole = np.maximum(counts.clip(0).sum(axis=1, keepdims=True), 1)
    axes.imshow(np.where(counts < 0, 0, counts / whole), cmap='Blues', vmin=0, vmax=1.15, aspect='equal')
    places = np.arange(len(names))
    axes.set_xticks(places, [*names[:-1], 'missed'], rotation=55, ha='right', rotation_mode='anchor', fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(counts > 0).tolist():
        colour = 'white' if counts[row, column] / whole[row, 0] > 0.6 else INK
        axes.text(column, row, _short(counts[row, column]), ha='center', va='center', fontsize=7, color=colour)
    axes.axhline(len(names) - 1.5, color=INK, linewidth=0.8)
    axes.axvline(len(names) - 1.5, color=INK, linewidth=0.8)
    label(axes, 'predicted class', 'true class')
    text = (
        'Rows are true classes, columns predicted ones; the last column counts missed objects, the last row false ones.'
    )
    return Picture('confusion_matrix', 'Confusion matrix', text, figure, wide=len(names) > _NARROW)


def _short(count: int) -> str:
    """A count in at most four letters."""
    return str(count) if count < 10_000 else f'{count / 1000:.0f}k'
