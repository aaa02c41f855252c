"""Precision, recall and F1 over the score threshold, the best threshold marked."""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.report.figures.picture import FALSE, INK, MISSED, RIGHT, Picture, label, legend, new_axes
from deeplake_mmdet.report.outcome import Outcome

_GRID = np.linspace(0, 1, 201)


def threshold_picture(outcome: Outcome) -> Picture:
    """The curves over all classes together."""
    figure, axes = new_axes()
    curve = outcome.curve
    lines = zip(('precision', 'recall', 'F1'), curve.at(_GRID), (FALSE, MISSED, RIGHT), strict=True)
    for name, values, colour in lines:
        axes.plot(_GRID, values, color=colour, linewidth=2.2 if name == 'F1' else 1.4, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    label(axes, 'score threshold', 'all classes together')
    text = 'No detection is right at any score.'
    if curve.best is not None:
        f1, at = float(curve.f1[curve.best]), curve.threshold
        axes.axvline(at, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot([at], [f1], 'o', color=RIGHT, markersize=5, label=f'best F1 {f1:.3f} at {at:.3f}')
        text = (
            f'The best F1 is {f1:.3f}, at the score {at:.3f}, with precision {curve.precision[curve.best]:.3f} and '
            f'recall {curve.recall[curve.best]:.3f}.'
        )
    legend(axes, loc='best')
    return Picture('score_threshold', 'Precision, recall and F1 over the score threshold', text, figure)
