"""One picture: a figure with its title and the words for those who cannot see it; as a file, and as pixels.

Figures are made and saved without pyplot, so a program's own figures and its choice of backend stay as they are.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZE = (5.6, 3.9)  # inches; 9 pt text stays readable when a phone shows 360 pixels of them
RIGHT, FALSE, MISSED, CONFUSED, NEUTRAL, INK = '#009e73', '#d55e00', '#0072b2', '#b8569a', '#9aa1a9', '#333a41'
_LARGE_SVG = 150_000  # bytes; a PNG is smaller from here on
_DPI = 160


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Its name for trackers, letters and underscores.
        title: What it shows.
        text: The same for who cannot see it, with the numbers that matter.
        figure: A `matplotlib.figure.Figure`.
        wide: Whether it takes the whole width of the page.
    """

    name: str
    title: str
    text: str
    figure: Any
    wide: bool = False

    def data_uri(self) -> str:
        """The picture for an ``<img>``: SVG, or PNG where there is very much in it."""
        data, kind = self._saved('svg'), 'svg+xml'
        if len(data) > _LARGE_SVG:
            data, kind = self._saved('png'), 'png'
        return data_uri(data, kind)

    def rgb(self) -> np.ndarray:
        """The picture as trackers take it, RGB uint8 (H, W, 3)."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self.figure)
        with _drawing():
            canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]

    def _saved(self, kind: str) -> bytes:
        file = io.BytesIO()
        with _drawing():
            self.figure.savefig(file, format=kind, dpi=_DPI, metadata={'Date': None} if kind == 'svg' else None)
        return file.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    """A file as a ``data:`` URI of the type ``image/<kind>``."""
    return f'data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}'


def new_axes(size: tuple[float, float] = SIZE) -> tuple[Any, Any]:
    """A figure with one pair of axes in the style of the report."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#e3e6ea', linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, colors=INK)
    return figure, axes


def label(axes: Any, x: str, y: str) -> None:
    """Name the axes."""
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)


def legend(axes: Any, **options: Any) -> None:
    """A legend, if something has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=True, framealpha=0.85, edgecolor='none', **options)


def plain(name: str, limit: int = 22) -> str:
    """A name of the user's as text that Matplotlib draws as it is: no formula, not hidden, not too long."""
    name = ' '.join(name.split())
    name = name if len(name) <= limit else f'{name[: limit - 1]}…'
    return ('\u200b' if name.startswith('_') else '') + name.replace('$', r'\$')


@contextmanager
def _drawing() -> Iterator[None]:
    """Texts stay texts in SVG, so that a browser has the letters that Matplotlib's own font lacks."""
    import matplotlib

    settings = {'svg.fonttype': 'none', 'svg.hashsalt': 'deeplake_mmdet'}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')
        yield
