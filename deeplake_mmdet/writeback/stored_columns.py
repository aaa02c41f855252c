"""How the columns of results are stored: their Deep Lake types, the form of a value, and what their metadata say.

Every type takes null, which is what a row has that was not scored. NaN is none of the numbers that Deep Lake can order
(it puts them anywhere), so one that is a row's only number is stored as null as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from deeplake_mmdet.config.tensor_roles import COCO_SEGMENTATION
from deeplake_mmdet.errors import ColumnError, ConfigError
from deeplake_mmdet.scoring.columns import (
    BOXES,
    COLUMNS,
    COUNT,
    COUNTS,
    ERROR_KINDS,
    ERRORS,
    LABELS,
    MASKS,
    NUMBER,
    NUMBERS,
    column,
)
from deeplake_mmdet.source.column_types import RESULTS, same_type

# Key of a column's metadata that is another one after each write-back.
WRITE = 'write'


@dataclass(frozen=True)
class StoredColumn:
    """One column of results as the dataset has it.

    Attributes:
        name: Its name there, with the group.
        kind: Of its values, see `deeplake_mmdet.scoring.columns`.
        means: What it says.
    """

    name: str
    kind: str
    means: str

    @classmethod
    def of(cls, name: str, run: str | None) -> StoredColumn:
        """The column of a result.

        Args:
            name: As `deeplake_mmdet.scoring.columns.column` knows it.
            run: Name of the run, or None.

        Raises:
            ColumnError: There is no such column.
        """
        try:
            found = column(name)
        except KeyError:
            raise ColumnError(
                f'Target.write(columns=) names {name!r}, which is no column of results. The columns are '
                f'{", ".join(COLUMNS)}, and losses.'
            ) from None
        return cls(f'{prefix(run)}{name}', found.kind, found.means)

    @cached_property
    def type(self) -> Any:
        """Its Deep Lake type."""
        from deeplake import types as T

        if self.kind in (NUMBER, COUNT):
            return T.Nullable('float32' if self.kind == NUMBER else 'int32')
        if self.kind in (NUMBERS, COUNTS):
            return T.Nullable(T.Array('float32' if self.kind == NUMBERS else 'int32', 1))
        if self.kind in (LABELS, ERROR_KINDS):
            return T.Nullable(T.ClassLabel(T.Array('uint32', 1)))
        return T.Nullable(T.BoundingBox('float32', 'ltwh', 'pixel')) if self.kind == BOXES else T.Nullable(T.Text())

    def check_type(self, found: Any, where: str) -> None:
        """Refuses a column that is there with another type.

        Raises:
            ColumnError: It is.
        """
        # An opened array is not equal to what it was made of, Deep Lake says; and the text of boxes tells no format.
        if str(found) != str(self.type) or (self.kind == BOXES and not same_type(found, self.type)):
            raise ColumnError(
                f'Column {self.name!r} of {where} is {str(found)!r}, but results are stored there as '
                f'{str(self.type)!r}. Give the run a name (--run, run=), or choose another branch.'
            )

    def metadata(self, classes: Sequence[str], facts: Mapping[str, str], write: str) -> dict[str, Any]:
        """What the column's metadata say: what it means, how to read it, and where it comes from."""
        form: dict[str, Any] = {}
        if self.kind in (LABELS, ERROR_KINDS):
            form['class_names'] = list(classes if self.kind == LABELS else ERRORS)
        elif self.name.endswith('_by_class'):
            form['class_names'] = list(classes)
        elif self.kind == BOXES:
            form['coords'] = {'type': 'pixel', 'mode': 'LTWH'}
        elif self.kind == MASKS:
            form['format'] = COCO_SEGMENTATION
        means = self.means.replace('left, top, right, bottom', 'left, top, width, height')
        return {'means': means, **form, 'lineage': dict(facts), WRITE: write}

    def stored(self, value: Any) -> Any:
        """The value of a row in the form in which Deep Lake stores it without loss.

        Raises:
            ColumnError: It is none of this kind.
        """
        if value is None or (self.kind == NUMBER and math.isnan(value)):
            return None
        try:
            return _FORMS[self.kind](value)
        except (TypeError, ValueError, OverflowError, KeyError) as error:
            raise ColumnError(
                f'Target.write(parts=) expected {self.kind} in column {self.name!r}, but got {value!r:.80}: {error}.'
            ) from None


def prefix(run: str | None) -> str:
    """What the names of a run's columns begin with.

    Raises:
        ConfigError: The run has a name that no group of columns can have.
    """
    if run is None:
        return RESULTS
    is_column = run in COLUMNS or 'loss' in run
    if not run or is_column or not all(sign.isalnum() or sign in '._-' for sign in run):
        raise ConfigError(
            f'Target.of(run={run!r}) expected letters, digits and the signs ._- that are no name of a column, nor '
            "hold the word 'loss'. Choose another name."
        )
    return f'{RESULTS}{run}/'


def _flat(dtype: str) -> Callable[[Any], np.ndarray]:
    def convert(value: Any) -> np.ndarray:
        array = np.asarray(value)
        if array.ndim != 1:
            raise ValueError('it has more or fewer dimensions than one')
        if array.size and np.issubdtype(dtype, np.integer) and not _fits(array, dtype):
            raise ValueError(f'it does not fit {dtype}')
        return np.ascontiguousarray(array, dtype)

    return convert


def _fits(array: np.ndarray, dtype: str) -> bool:
    limits = np.iinfo(dtype)
    return array.dtype.kind in 'iu' and bool(array.min() >= limits.min and array.max() <= limits.max)


def _ltwh(value: Any) -> np.ndarray:
    boxes = np.array(value, np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError('boxes have four numbers each')
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _json(value: Any) -> str:
    """Masks as a JSON list of COCO's run lengths."""
    masks = []
    for mask in value:
        counts = mask['counts']
        masks.append(
            {
                'size': [int(side) for side in mask['size']],
                'counts': counts.decode() if isinstance(counts, bytes) else counts,
            }
        )
    return json.dumps(masks)


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    NUMBER: np.float32,
    COUNT: np.int32,
    NUMBERS: _flat('float32'),
    COUNTS: _flat('int32'),
    LABELS: _flat('uint32'),
    ERROR_KINDS: _flat('uint32'),
    BOXES: _ltwh,
    MASKS: _json,
}
