"""How the classes, boxes and images of a dataset are distributed, in numbers: all annotations, also unusable ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.config.printable import one_line
from deeplake_mmdet.datasets.annotated import AnnotatedDataset

SMALL, LARGE = 32**2, 96**2  # square pixels: the borders of COCO's small, medium and large objects
_QUANTILES = (0, 0.05, 0.5, 0.95, 1)


@dataclass(frozen=True)
class Statistics:
    """Distributions over N images with M objects of K classes.

    Attributes:
        revision: What was counted, in words.
        classes: Class names, K.
        labels: Class of each object, int (M,).
        image_of: Image of each object, int (M,).
        boxes: Width and height in pixels, float64 (M, 2).
        areas: Annotated areas in square pixels, float64 (M,).
        images: Height and width, int (N, 2).
        flags: How many objects are crowd regions, difficult, ignored, and unusable in training.
        remarks: What was noticed on reading them.
    """

    revision: str
    classes: tuple[str, ...]
    labels: np.ndarray
    image_of: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    images: np.ndarray
    flags: Mapping[str, int]
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Statistics:
        """Counts what a dataset's config selects. Boxes are read as their column declares, plausible or not.

        Args:
            config: The ``deeplake_*`` keys of a dataset.

        Raises:
            ConfigError, SourceError, ColumnError, AnnotationError: As `DeepLakeDataset`.
        """
        dataset = AnnotatedDataset(config, believe_declared=True)
        return cls.of_index(dataset.index, str(dataset.source.revision), dataset.remarks)

    @classmethod
    def of_index(cls, index: AnnotationIndex, revision: str, remarks: Sequence[str] = ()) -> Statistics:
        """Counts annotations."""
        return cls(
            revision=revision,
            classes=index.classes,
            labels=index.labels,
            image_of=index.image_of,
            boxes=index.xywh(slice(None))[:, 2:],
            areas=index.areas,
            images=index.sizes,
            flags={
                'crowd regions': int(index.crowd.sum()),
                'difficult': int(index.difficult.sum()),
                'marked ignore': int(index.ignored.sum()),
                'not usable in training': int((~index.usable).sum()),
            },
            remarks=tuple(remarks),
        )

    @property
    def sides(self) -> np.ndarray:
        """Square roots of the boxes' areas in pixels, float64 (M,)."""
        return np.sqrt(np.clip(self.boxes, 0, None).prod(axis=1))

    @property
    def aspects(self) -> np.ndarray:
        """Width over height of the boxes that have both, float64."""
        whole = (self.boxes > 0).all(axis=1)
        return self.boxes[whole, 0] / self.boxes[whole, 1]

    def by_class(self) -> list[dict[str, Any]]:
        """One dict a class: name, images, objects, how many are small, medium and large, and the median side."""
        rows = []
        for label, name in enumerate(self.classes):
            own = self.labels == label
            areas = self.areas[own]
            rows.append(
                {
                    'class': name,
                    'images': len(np.unique(self.image_of[own])),
                    'objects': int(own.sum()),
                    'small': int((areas < SMALL).sum()),
                    'medium': int(((areas >= SMALL) & (areas < LARGE)).sum()),
                    'large': int((areas >= LARGE).sum()),
                    'median side': round(float(np.median(self.sides[own])), 1) if own.any() else None,
                }
            )
        return rows

    def spreads(self) -> dict[str, dict[str, float]]:
        """Quantiles of what is measured in pixels, and of the objects an image."""
        values = {
            'objects an image': np.bincount(self.image_of, minlength=len(self.images)),
            'side of a box': self.sides,
            'aspect of a box (w/h)': self.aspects,
            'image width': self.images[:, 1],
            'image height': self.images[:, 0],
        }
        names = ('min', '5 %', 'median', '95 %', 'max')
        return {
            what: dict(zip(names, np.round(np.quantile(some, _QUANTILES), 2).tolist(), strict=True))
            for what, some in values.items()
            if len(some)
        }

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-like values."""
        empty = len(self.images) - len(np.unique(self.image_of))
        return {
            'revision': self.revision,
            'images': len(self.images),
            'images without objects': empty,
            'objects': len(self.labels),
            **{name: count for name, count in self.flags.items() if count},
            'classes': self.by_class(),
            'quantiles': self.spreads(),
            'remarks': list(self.remarks),
        }

    def table(self) -> str:
        """All of it as text."""
        content = self.to_json()
        classes, spreads = content.pop('classes'), content.pop('quantiles')
        notes = [f'note: {remark}' for remark in content.pop('remarks')]
        lines = [content.pop('revision'), *notes, '', *(f'{name:<24}{count:>10}' for name, count in content.items())]
        lines += ['', *_aligned(classes)]
        lines += ['', *_aligned([{'': what, **values} for what, values in spreads.items()])]
        return '\n'.join(lines)


def _aligned(rows: list[dict[str, Any]]) -> list[str]:
    """A table with the names left and the numbers right."""
    head = list(rows[0]) if rows else []
    texts = [head, *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in texts) for column in range(len(head))]
    return [
        '  '.join(
            text.rjust(width) if place else text.ljust(width) for place, (text, width) in enumerate(cells)
        ).rstrip()
        for cells in (list(zip(line, widths, strict=True)) for line in texts)
    ]


def _text(value: Any) -> str:
    return '-' if value is None else f'{value:g}' if isinstance(value, float) else one_line(str(value))
