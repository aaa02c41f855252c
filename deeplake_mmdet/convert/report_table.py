"""The table that a conversion ends with: what went in, how large it is, and what was odd about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deeplake_mmdet.config.printable import one_line, printable

if TYPE_CHECKING:
    from deeplake_mmdet.convert.report import ConversionReport

NAMED = 5  # how many files or objects an oddity names before it only counts
COMMON = 3  # how many sizes of images are listed


def table_of(report: ConversionReport) -> str:
    """The counts of a report in two columns, and the oddities below."""
    lines = list(_counts(report))
    width = max(len(name) for name, _ in lines)
    odd = [line for kind, files in report.oddities.items() for line in _oddity(kind, files, report)]
    return printable('\n'.join([*(f'{name:<{width}}  {text}' for name, text in lines), *odd]))


def _counts(report: ConversionReport) -> Iterator[tuple[str, str]]:
    yield 'images', f'{report.rows}'
    yield 'without boxes', f'{report.empty}'
    if report.image_sizes:
        yield 'image sizes', _image_sizes(report.image_sizes)
    yield 'boxes', f'{report.boxes.total()}'
    for name in report.class_names:
        yield f'  {one_line(name)}', f'{report.boxes[name]}'
    sides, by_size = report.sides, report.box_sizes
    if len(sides):
        areas = ', '.join(f'{by_size[size]} {size}' for size in ('small', 'medium', 'large'))
        yield 'box areas', f'{areas} (below 32², to 96², above)'
        yield 'box sides', f'{sides.min():.4g} to {sides.max():.4g} pixels, median {np.median(sides):.4g}'
    for name, rows in report.views.items():
        yield f'view {name!r}', f'{rows} images'


def _image_sizes(sizes: Counter[tuple[int, int]]) -> str:
    common = ', '.join(f'{width} x {height} ({count})' for (width, height), count in sizes.most_common(COMMON))
    if len(sizes) <= COMMON:
        return common
    widths, heights = zip(*sizes, strict=True)
    ends = f'width {min(widths)} to {max(widths)}, height {min(heights)} to {max(heights)}'
    return f'{common}, and {len(sizes) - COMMON} others: {ends}'


def _oddity(kind: str, files: Sequence[str], report: ConversionReport) -> Iterator[str]:
    """A line that counts, and a line for each of the first that are named."""
    examples = report.examples.get(kind)
    named = examples or list(dict.fromkeys(files))[:NAMED]
    rest = len(files if examples else set(files)) - len(named)
    yield f'! {len(files)} {kind}'
    yield from (f'    {name}' for name in named)
    if rest > 0:
        yield f'    and {rest} more'
