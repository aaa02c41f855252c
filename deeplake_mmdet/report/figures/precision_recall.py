"""Precision over recall, a line a class and a bold one for their mean."""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.datasets.palette import palette
from deeplake_mmdet.report.figures.picture import INK, NEUTRAL, Picture, label, legend, new_axes, plain
from deeplake_mmdet.report.precision_recall import RECALLS, PrecisionRecall

_NAMED = 8  # classes that get a colour of their own


def precision_recall_picture(curves: PrecisionRecall) -> Picture:
    """The curves of one metric at one IoU; of many classes the worst ones in colour, the others grey."""
    figure, axes = new_axes()
    values = curves.average_precision
    known = np.flatnonzero(~np.isnan(values))
    named = known[np.argsort(values[known], kind='stable')][:_NAMED]
    colours = palette(len(curves.classes))
    for k in np.setdiff1d(known, named).tolist():
        axes.plot(RECALLS, curves.precision[k], color=NEUTRAL, linewidth=0.6, alpha=0.5)
    for k in (named if len(known) > _NAMED else np.sort(named)).tolist():
        colour = [part / 255 for part in colours[k]]
        axes.plot(RECALLS, curves.precision[k], color=colour, linewidth=1.2, label=_named(curves, k))
    mean = float(np.mean(values[known])) if len(known) else float('nan')
    if len(known) > 1:
        axes.plot(RECALLS, curves.mean, color=INK, linewidth=2.4, label=f'mean of {len(known)} ({mean:.3f})')
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    label(axes, 'recall', 'precision')
    left_out = f' lowest {_NAMED} of {len(known)}' if len(known) > _NAMED else ''
    corner = 'lower left' if len(known) and np.nanmean(curves.mean[:51]) > 0.5 else 'upper right'  # the empty one
    legend(axes, loc=corner, title=f'AP{left_out}', title_fontsize=8)
    shown = f'mean average precision {mean:.3f} over {len(known)} classes' if len(known) else 'no class has an object'
    return Picture(
        f'precision_recall_{curves.name}',
        f'Precision and recall ({curves.title})',
        f'Curves of precision: {shown}.',
        figure,
    )


def _named(curves: PrecisionRecall, k: int) -> str:
    return f'{plain(curves.classes[k])} ({curves.average_precision[k]:.3f})'
