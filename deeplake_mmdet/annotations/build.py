"""Building the annotation index: every column is read once, in bulk, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deeplake_mmdet.annotations.box_reading import choose_format, trust_in, verify_format
from deeplake_mmdet.annotations.boxes import to_xywh
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.labels import class_names, map_labels
from deeplake_mmdet.annotations.ragged import Place, read_flat
from deeplake_mmdet.annotations.sizes import image_sizes
from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.columns import ColumnMap
from deeplake_mmdet.source.handle import SourceHandle


def build_index(
    source: SourceHandle,
    columns: ColumnMap,
    *,
    classes: Sequence[str] | str | None = None,
    box_format: BoxFormat | None = None,
    complete_sizes: Callable[[np.ndarray], None] = lambda sizes: None,
) -> tuple[AnnotationIndex, list[str]]:
    """Read all annotations of a selection.

    Args:
        source: The dataset, of N selected rows.
        columns: Its column map.
        classes: Class names that the run asks for, or None for the dataset's own.
        box_format: ``deeplake_bbox_format``, or None.
        complete_sizes: Fills in heights and widths that are not known, in place; called with an array of shape (N, 2)
            that holds zeros in such rows.

    Returns:
        The index, and remarks for the log.

    Raises:
        AnnotationError: Boxes and labels of different number, NaN boxes, labels without a name, an implausible box
            format, a repeated image id; the row is named.
        ColumnError: The declared and the configured box format contradict each other.
        ConfigError: See `deeplake_mmdet.annotations.labels.class_names`.
        SourceError: The storage failed.
    """
    rows = source.rows
    names = class_names(columns.class_names, classes)
    boxes, offsets = read_flat(source, columns['gt_bboxes'], 4)
    place = Place(columns['gt_bboxes'], rows, offsets)
    _refuse_nan(boxes, place, 'box')
    labels = _per_object(source, columns, 'gt_labels', offsets)
    sizes = image_sizes(source, columns)
    complete_sizes(sizes)
    reading, remarks = choose_format(columns, box_format)
    object_sizes = np.repeat(sizes, np.diff(offsets), axis=0)
    remarks += verify_format(boxes, reading, object_sizes, place, trust_in(columns, box_format))
    xywh = None if columns.get('gt_areas') else to_xywh(boxes, reading, object_sizes)
    index = AnnotationIndex(
        rows=rows,
        img_ids=_img_ids(source, columns),
        sizes=sizes,
        offsets=offsets,
        boxes=boxes,
        box_format=reading,
        labels=map_labels(labels, columns.class_names, names, Place(columns['gt_labels'], rows, offsets)),
        classes=names,
        category_ids=_category_ids(columns, names),
        areas=_areas(source, columns, offsets) if xywh is None else xywh[:, 2] * xywh[:, 3],
        crowd=_flags(source, columns, 'gt_iscrowd', offsets),
        difficult=_flags(source, columns, 'gt_difficult', offsets),
        ignored=_flags(source, columns, 'gt_ignore', offsets),
    )
    return index, remarks


def _refuse_nan(values: np.ndarray, place: Place, what: str) -> None:
    if values.dtype.kind != 'f':
        return
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise AnnotationError(
            f'{place(wrong[0])}: expected finite numbers, but got the {what} {values[wrong[0]].tolist()}. '
            f'{len(wrong)} objects are affected in all: correct them, or leave their rows out by a query.'
        )


def _per_object(source: SourceHandle, columns: ColumnMap, role: str, offsets: np.ndarray) -> np.ndarray:
    """A column with one value an object, checked against the number of boxes in each row."""
    values, own = read_flat(source, columns[role], None)
    wrong = np.flatnonzero(np.diff(own) != np.diff(offsets))
    if len(wrong):
        row = wrong[0]
        raise AnnotationError(
            f'Row {int(source.rows[row])}: expected as many values in {columns[role]!r} as boxes in '
            f'{columns["gt_bboxes"]!r}, but got {np.diff(own)[row]} and {np.diff(offsets)[row]}. '
            f'{len(wrong)} rows are affected in all: correct them, or leave them out by a query.'
        )
    return values


def _flags(source: SourceHandle, columns: ColumnMap, role: str, offsets: np.ndarray) -> np.ndarray:
    if columns.get(role) is None:
        return np.zeros(int(offsets[-1]), bool)
    return _per_object(source, columns, role, offsets).astype(bool)


def _areas(source: SourceHandle, columns: ColumnMap, offsets: np.ndarray) -> np.ndarray:
    areas = _per_object(source, columns, 'gt_areas', offsets).astype(np.float64)
    _refuse_nan(areas[:, None], Place(columns['gt_areas'], source.rows, offsets), 'area')
    return areas


def _img_ids(source: SourceHandle, columns: ColumnMap) -> np.ndarray | list[str]:
    column, rows = columns.get('img_id'), source.rows
    if column is None or not len(rows):
        return rows
    values = source.read_column(column, 0, len(rows))
    ids: np.ndarray | list[str] = (
        [str(value) for value in values] if isinstance(values, list) else np.asarray(values).reshape(-1)
    )
    unique, counts = np.unique(np.asarray(ids), return_counts=True)
    if len(unique) < len(rows):
        repeated = int(np.argmax(counts))
        places = rows[np.flatnonzero(np.asarray(ids) == unique[repeated])[:3]].tolist()
        raise AnnotationError(
            f'Column {column!r}: expected every image id once, but got {unique[repeated]} in the rows {places}. '
            'Evaluation would mix these images up.'
        )
    return ids


def _category_ids(columns: ColumnMap, names: Sequence[str]) -> tuple[int, ...]:
    """The original category ids of the run's classes; their positions where the dataset keeps none."""
    if columns.category_ids is None or columns.class_names is None:
        return tuple(range(len(names)))
    stored = dict(zip(columns.class_names, columns.category_ids, strict=True))
    return tuple(stored[name] for name in names)
