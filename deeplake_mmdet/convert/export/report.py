"""What an export wrote, and what the format that it wrote could not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

NAMED = 3  # how many images a remark names


@dataclass
class ExportReport:
    """Counts of one export.

    Attributes:
        path: The folder.
        sources: What each split was exported from, in words.
        images: How many images each split has, by name.
        objects: How many objects were written of each class, by name; of all splits.
        left_out: Objects of other classes than those that were asked for.
        remarks: What was said once, such as a format of boxes that had to be assumed.
        hint: How to read what was written.
    """

    path: str
    sources: dict[str, str] = field(default_factory=dict)
    images: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    remarks: list[str] = field(default_factory=list)
    hint: str = ''
    _noted: dict[str, list[str]] = field(default_factory=dict)
    _times: Counter[str] = field(default_factory=Counter)

    def count(self, classes: Sequence[str], labels: np.ndarray) -> None:
        """Counts objects that were written, by their positions in ``classes``, int (m,)."""
        self.objects.update(classes[label] for label in labels.tolist())

    def note(self, what: str, image: str, times: int = 1) -> None:
        """Counts something that the format does not say as the dataset does, and names the first images of it."""
        if times:
            self._times[what] += int(times)
            names = self._noted.setdefault(what, [])
            if len(names) <= NAMED and image not in names:
                names.append(image)

    def remark(self, text: str) -> None:
        """Says something once."""
        if text not in self.remarks:
            self.remarks.append(text)

    @property
    def noted(self) -> dict[str, int]:
        """How often each thing was noted."""
        return dict(self._times)

    def table(self) -> str:
        """The summary as lines of text."""
        lines = [(f'split {name!r}', f'{self.images[name]} images from {text}') for name, text in self.sources.items()]
        lines += [('objects', f'{self.objects.total()}')]
        lines += [(f'  {name}', f'{count}') for name, count in self.objects.items()]
        lines += [('of other classes', f'{self.left_out}, left out')] if self.left_out else []
        lines += [('noted', f'{what}: {times} ({_listed(self._noted[what])})') for what, times in self._times.items()]
        lines += [('note', remark) for remark in self.remarks]
        width = max(len(name) for name, _ in lines)
        return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)


def _listed(names: Sequence[str]) -> str:
    return ', '.join(names[:NAMED]) + (', …' if len(names) > NAMED else '')
