"""How large the boxes are and how sure the detector is: where it finds, misses and is wrong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from deeplake_mmdet.metrics.matching import FALSE_POSITIVE, TRUE_POSITIVE
from deeplake_mmdet.report.figures.picture import FALSE, INK, MISSED, RIGHT, Picture, label, legend, new_axes
from deeplake_mmdet.report.outcome import Outcome

_BORDERS = (32, 96)  # pixels, between what COCO calls small, medium and large
_BINS_AN_OCTAVE, _SCORE_BINS = 3, 50


def size_picture(outcome: Outcome) -> Picture:
    """Sides of the boxes, found and not, beside those of the detections that are shown."""
    truth, detections = outcome.evaluation.truth, outcome.evaluation.detections
    sides = _sides(truth.boxes_xywh)
    counted = outcome.matching.counted
    found, missed = sides[counted & ~outcome.missed], sides[outcome.missed]
    shown = _sides(detections.boxes_xywh[outcome.shown])
    edges = _edges(np.concatenate([found, missed, shown]))
    figure, axes = new_axes()
    _bars(axes, edges, [found, missed], ('objects found', 'objects not found'), (RIGHT, MISSED))
    axes.stairs(np.histogram(shown, edges)[0], edges, color=INK, linewidth=1.2, label='detections')
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    for border in (border for border in _BORDERS if edges[0] <= border <= edges[-1]):
        axes.axvline(border, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlim(edges[0], edges[-1])
    for name, place in _size_names(edges):
        axes.text(place, 1.01, name, transform=axes.get_xaxis_transform(), ha='center', fontsize=8, color=INK)
    label(axes, 'side of the box, √(width × height), pixels', 'boxes')
    legend(axes, loc='best')
    small, large = (float(np.mean(sides[counted] < border)) if counted.any() else 0.0 for border in _BORDERS)
    text = (
        f'{int(counted.sum())} objects, {len(missed)} of them not found; {100 * small:.0f} % are below 32 pixels, '
        f'{100 * (1 - large):.0f} % above 96. {len(shown)} detections.'
    )
    return Picture('box_sizes', 'Sizes of the boxes', text, figure)


def score_picture(outcome: Outcome) -> Picture:
    """Scores of the detections that are right and of those that are not, on a logarithmic scale."""
    scores, kinds = outcome.matching.scores, outcome.matching.kinds
    right, wrong = scores[kinds == TRUE_POSITIVE], scores[kinds == FALSE_POSITIVE]
    edges = np.linspace(0, 1, _SCORE_BINS + 1)
    figure, axes = new_axes()
    for values, name, colour in ((wrong, 'wrong', FALSE), (right, 'right', RIGHT)):
        counts = np.histogram(np.clip(values, 0, 1), edges)[0]
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.55)
        axes.stairs(counts, edges, color=colour, linewidth=1.2, label=f'{name} ({len(values)})')
    axes.set_yscale('symlog', linthresh=1)
    axes.set(xlim=(0, 1))
    axes.set_ylim(bottom=0)
    if outcome.curve.best is not None:
        axes.axvline(outcome.threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)), label='best threshold')
    label(axes, 'score', 'detections (logarithmic)')
    legend(axes, loc='upper right')
    text = f'{len(right)} detections are right and {len(wrong)} wrong, over all scores.'
    return Picture('scores', 'Scores of right and wrong detections', text, figure)


def _sides(xywh: np.ndarray) -> np.ndarray:
    return np.sqrt(np.clip(xywh[:, 2], 0, None) * np.clip(xywh[:, 3], 0, None))


def _edges(sides: np.ndarray) -> np.ndarray:
    """Borders of the bins, whole octaves from the smallest to the largest."""
    sides = sides[sides > 0]
    low, high = np.log2([sides.min(), sides.max()]) if len(sides) else (3, 9)
    low, high = max(np.floor(low), -1), max(np.ceil(high), np.floor(low) + 1)
    return 2 ** np.linspace(low, high, int((high - low) * _BINS_AN_OCTAVE) + 1)


def _size_names(edges: np.ndarray) -> list[tuple[str, float]]:
    """What COCO calls the sizes that the bins reach, and where each name stands."""
    borders = np.clip([0, *_BORDERS, np.inf], edges[0], edges[-1])
    ranges = zip(('small', 'medium', 'large'), itertools.pairwise(borders.tolist()), strict=True)
    return [(name, float(np.sqrt(low * high))) for name, (low, high) in ranges if low < high]


def _bars(axes: Any, edges: np.ndarray, parts: list[np.ndarray], names: Any, colours: Any) -> None:
    """Histograms on top of each other."""
    base = np.zeros(len(edges) - 1)
    for values, name, colour in zip(parts, names, colours, strict=True):
        counts = np.histogram(values, edges)[0]
        axes.stairs(base + counts, edges, baseline=base, fill=True, color=colour, alpha=0.6, label=name)
        base = base + counts
