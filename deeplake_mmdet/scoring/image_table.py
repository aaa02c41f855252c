"""One line an image: the numbers by which images are ranked, summarised, and written to a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.scoring.columns import COUNT, NUMBER, column
from deeplake_mmdet.scoring.values import Part


class ImageTable:
    """Numbers of N images, in the order of their places in the rows that were opened.

    Attributes:
        places: The places, int64 (N,), ascending.
        numbers: Column name to values, float64 (N,); NaN where an image has none.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        places, numbers = [], []
        for part in parts:
            places.append(part.places)
            single = {name: values for name, values in part.values.items() if column(name).kind in (NUMBER, COUNT)}
            numbers.append({name: np.array(values, np.float64) for name, values in single.items()})
        found = np.concatenate([np.zeros(0, np.int64), *places])
        order = np.argsort(found)
        self.places = found[order]
        names = dict.fromkeys(name for part in numbers for name in part)
        missing = [np.full(len(part), np.nan) for part in places]
        self.numbers = {
            name: np.concatenate([part.get(name, none) for part, none in zip(numbers, missing, strict=True)])[order]
            for name in names
        }

    def __len__(self) -> int:
        return len(self.places)

    def worst(self, name: str, count: int) -> np.ndarray:
        """Positions of the images that a column ranks worst, the worst first, int64 (n,).

        Args:
            name: ``loss``, a loss term, or a suspicion, of which the largest are worst; of ``iou``, ``mean_iou`` and
                ``ap50`` the smallest are.
            count: How many at most; images without a value are left out.

        Raises:
            ConfigError: There is no such column.
        """
        if name not in self.numbers:
            raise ConfigError(f'score expected a column to rank by among {", ".join(self.numbers)}, but got {name!r}.')
        values = self.numbers[name]
        order = np.argsort(values if name in ('iou', 'mean_iou', 'ap50') else -values, kind='stable')
        return order[~np.isnan(values[order])][:count]

    def write_csv(self, path: str, rows: np.ndarray, img_ids: Sequence[Any]) -> None:
        """Write all images to a file.

        Args:
            path: Of the file.
            rows: Row numbers by place, int64.
            img_ids: Image ids by place.

        Raises:
            ConfigError: It cannot be written.
        """
        try:
            with Path(path).open('w', newline='', encoding='utf-8') as file:
                writer = csv.writer(file)
                writer.writerow(['row', 'img_id', *self.numbers])
                for i, place in enumerate(self.places.tolist()):
                    values = [_text(name, numbers[i]) for name, numbers in self.numbers.items()]
                    writer.writerow([rows[place], img_ids[place], *values])
        except OSError as error:
            raise ConfigError(f'--out is {path!r}, which cannot be written: {error.strerror}.') from None


def _text(name: str, value: float) -> str:
    if np.isnan(value):
        return ''
    return str(int(value)) if column(name).kind == COUNT else f'{value:.6g}'
