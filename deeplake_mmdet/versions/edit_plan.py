"""The changes of one edit, checked against the version that they are for, before anything is written.

All row numbers and object numbers are those of the version before the edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deeplake_mmdet.errors import ColumnError, ConfigError
from deeplake_mmdet.source.column_types import metadata_of
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.pins import closest
from deeplake_mmdet.versions.reading import columns_of


@dataclass
class EditPlan:
    """What is to be done.

    Attributes:
        source: The version.
        boxes, labels: Names of these two columns.
        rows: Rows to drop.
        objects: Objects to drop, by row.
        classes: New label of objects, by row.
    """

    source: SourceHandle
    boxes: str
    labels: str
    rows: set[int] = field(default_factory=set)
    objects: dict[int, set[int]] = field(default_factory=dict)
    classes: dict[int, dict[int, int]] = field(default_factory=dict)
    _seen: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, source: SourceHandle, tensors: Any) -> EditPlan:
        """An empty plan for a version.

        Raises:
            ColumnError: The columns of boxes and labels are not clear.
        """
        columns = map_columns(source.base(), source.selection(), tensors or {}, source.scalars)
        return cls(source, columns['gt_bboxes'], columns['gt_labels'])

    def __bool__(self) -> bool:
        return bool(self.rows or self.objects or self.classes)

    @property
    def class_names(self) -> Sequence[str]:
        return metadata_of(self.source.base()[self.labels], 'class_names', str) or ()

    def drop_row(self, row: int) -> None:
        """See `deeplake_mmdet.versions.editing.Edit.drop_row`."""
        self._check_row('drop_row', row)
        if row in self.objects or row in self.classes:
            raise ConfigError(f'edit drop_row({row}) drops a row whose objects are edited too. Do one of them.')
        self.rows.add(row)

    def drop_object(self, row: int, index: int) -> None:
        """See `deeplake_mmdet.versions.editing.Edit.drop_object`."""
        self._check_object('drop_object', row, index)
        if index in self.classes.get(row, ()):
            raise ConfigError(
                f'edit drop_object({row}, {index}) drops an object that is relabelled too. Do one of them.'
            )
        self.objects.setdefault(row, set()).add(index)

    def relabel(self, row: int, index: int, name: str) -> None:
        """See `deeplake_mmdet.versions.editing.Edit.relabel`."""
        self._check_object('relabel', row, index)
        names = self.class_names
        if not names:
            raise ColumnError(
                f'edit relabel({row}, {index}, {name!r}) needs class names in the metadata of {self.labels!r}, which '
                "has none. Set metadata['class_names'] of the column."
            )
        if name not in names:
            raise ConfigError(
                f'edit relabel({row}, {index}, {name!r}) names no class of the dataset. The classes are '
                f'{", ".join(map(repr, names))}.{closest(name, names)}'
            )
        label = names.index(name)
        if index in self.objects.get(row, ()):
            raise ConfigError(f'edit relabel({row}, {index}) relabels an object that is dropped too. Do one of them.')
        if self.classes.get(row, {}).get(index, label) != label:
            raise ConfigError(f'edit relabel({row}, {index}) gives one object two classes. Give one.')
        self.classes.setdefault(row, {})[index] = label

    def read(self, column: str, row: int) -> Any:
        """A small value of one row before the edit, read once."""
        if (column, row) not in self._seen:
            self._seen[column, row] = self.source.read(column, [row])[0]
        return self._seen[column, row]

    def say(self) -> list[str]:
        """What is done, a line each, with file names and classes."""
        lines = [f'dropped row {row}{self._file(row)}: {self._contents(row)}' for row in sorted(self.rows)]
        for row, objects in sorted(self.objects.items()):
            lines += [
                f'dropped object {k} of row {row}{self._file(row)}: {self._object(row, k)}' for k in sorted(objects)
            ]
        for row, labels in sorted(self.classes.items()):
            lines += [
                f'relabelled object {k} of row {row}{self._file(row)}: {self._name(row, k)} → {self.class_names[label]}'
                for k, label in sorted(labels.items())
            ]
        return lines

    def _file(self, row: int) -> str:
        return f' ({self.read("file_name", row)})' if 'file_name' in columns_of(self.source) else ''

    def _contents(self, row: int) -> str:
        names = [self._name(row, k) for k in range(self.count(row))]
        return ', '.join(f'{name} {names.count(name)}' for name in dict.fromkeys(names)) or 'no objects'

    def _object(self, row: int, index: int) -> str:
        box = np.asarray(self.read(self.boxes, row)).reshape(-1, 4)[index].tolist()
        return f'{self._name(row, index)} at {", ".join(f"{number:g}" for number in box)}'

    def _name(self, row: int, index: int) -> str:
        label = np.asarray(self.read(self.labels, row)).reshape(-1)[index]
        names = self.class_names
        return names[int(label)] if not isinstance(label, str) and 0 <= label < len(names) else str(label)

    def count(self, row: int) -> int:
        """Number of objects of one row before the edit."""
        value = self.read(self.boxes, row)
        return 0 if value is None else len(np.asarray(value).reshape(-1, 4))

    def _check_row(self, verb: str, row: int) -> None:
        if type(row) is not int or not 0 <= row < len(self.source):
            raise ConfigError(
                f'edit {verb}({row!r}, …) expected a row of 0 to {len(self.source) - 1}, counted in '
                f'{self.source.revision}.'
            )

    def _check_object(self, verb: str, row: int, index: int) -> None:
        self._check_row(verb, row)
        count = self.count(row)
        if type(index) is not int or not 0 <= index < count:
            has = f'objects 0 to {count - 1}' if count else 'no objects'
            raise ConfigError(
                f'edit {verb}({row}, {index!r}) names an object of row {row}{self._file(row)}, which has {has}.'
            )
        if row in self.rows:
            raise ConfigError(
                f'edit {verb}({row}, {index}) edits an object of a row that is dropped too. Do one of them.'
            )
