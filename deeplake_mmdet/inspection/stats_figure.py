"""The distributions of a dataset as one picture of four panels."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.inspection.stats import LARGE, SMALL, Statistics
from deeplake_mmdet.report.figures.picture import INK, MISSED, RIGHT, label, plain

_MOST_CLASSES = 40  # bars that can still be read
_DPI = 150


def save_figure(statistics: Statistics, path: str | os.PathLike) -> None:
    """Draws classes, box sizes, aspects and image sizes.

    Args:
        statistics: What to draw.
        path: The file; its suffix says its format (``.png``, ``.svg``, ``.pdf``).

    Raises:
        ConfigError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    shown = min(max(len(statistics.classes), 1), _MOST_CLASSES)
    figure = Figure(figsize=(11, max(7.5, 4 + 0.17 * shown)), layout='constrained')
    panels = figure.subplots(2, 2)
    for axes, draw in zip(panels.flat, (_classes, _sides, _aspects, _images), strict=True):
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(color='#e3e6ea', linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, colors=INK)
        draw(axes, statistics)
    figure.suptitle(
        f'{len(statistics.images)} images, {len(statistics.labels)} objects of {len(statistics.classes)} classes',
        color=INK,
    )
    try:
        figure.savefig(os.path.expanduser(path), dpi=_DPI)
    except (OSError, ValueError) as error:
        raise ConfigError(f'stats(out=) could not write {os.fspath(path)!r}: {error}') from error


def _classes(axes: Any, statistics: Statistics) -> None:
    counts = np.bincount(statistics.labels, minlength=len(statistics.classes))
    order = np.argsort(-counts, kind='stable')[:_MOST_CLASSES]
    names = [plain(statistics.classes[place]) for place in order.tolist()]
    axes.barh(range(len(order)), counts[order], color=MISSED, alpha=0.75)
    axes.set_yticks(range(len(order)), names)
    axes.invert_yaxis()
    for place, count in enumerate(counts[order].tolist()):
        axes.text(count, place, f' {count}', va='center', fontsize=7, color=INK)
    axes.margins(x=0.12)
    rest = len(statistics.classes) - len(order)
    label(axes, f'objects{f" ({rest} rarer classes are not shown)" if rest else ""}', '')


def _sides(axes: Any, statistics: Statistics) -> None:
    sides = statistics.sides[statistics.sides > 0]
    if not len(sides):
        return
    low, high = np.floor(np.log2(sides.min())), np.ceil(np.log2(sides.max()))
    edges = 2 ** np.linspace(low, max(high, low + 1), int(max(high - low, 1) * 4) + 1)
    axes.hist(sides, edges, color=RIGHT, alpha=0.75)
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    for border, name in ((SMALL, 'small | medium'), (LARGE, 'medium | large')):
        if edges[0] < border**0.5 < edges[-1]:
            axes.axvline(border**0.5, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.text(border**0.5, 1.01, name, transform=axes.get_xaxis_transform(), ha='center', fontsize=7, color=INK)
    label(axes, 'side of the box, √(width × height), pixels', 'objects')


def _aspects(axes: Any, statistics: Statistics) -> None:
    aspects = np.log2(statistics.aspects)
    if not len(aspects):
        return
    reach = max(1.0, float(np.ceil(np.quantile(np.abs(aspects), 0.999))))
    axes.hist(np.clip(aspects, -reach, reach), np.linspace(-reach, reach, 49), color=RIGHT, alpha=0.75)
    ticks = np.arange(-reach, reach + 1)
    axes.set_xticks(ticks, [f'1:{2**-tick:g}' if tick < 0 else f'{2**tick:g}:1' for tick in ticks.tolist()])
    label(axes, 'aspect of the box, width : height', 'objects')


def _images(axes: Any, statistics: Statistics) -> None:
    sizes, counts = np.unique(statistics.images, axis=0, return_counts=True)
    area = 12 + 220 * counts / counts.max() if len(counts) else 12
    axes.scatter(sizes[:, 1], sizes[:, 0], s=area, color=MISSED, alpha=0.55, edgecolor='none')
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.margins(0.1)
    label(axes, f'image width, pixels (different sizes: {len(sizes)})', 'image height, pixels')
