"""Building the annotation index: every column is read once, in bulk, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deeplake_mmdet.annotations.box_reading import choose_format, trust_in, verify_format
from deeplake_mmdet.annotations.boxes import xywh_parts
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.labels import class_names, map_labels
from deeplake_mmdet.annotations.ragged import Place, read_flat
from deeplake_mmdet.annotations.sizes import image_sizes
from deeplake_mmdet.annotations.texts import Texts
from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.errors import AnnotationError
from deeplake_mmdet.source.columns import ColumnMap
from deeplake_mmdet.source.handle import SourceHandle

_PER_OBJECT = ('gt_bboxes', 'gt_labels', 'gt_areas', 'gt_iscrowd', 'gt_difficult', 'gt_ignore')


def build_index(
    source: SourceHandle,
    columns: ColumnMap,
    *,
    classes: Sequence[str] | str | None = None,
    box_format: BoxFormat | None = None,
    complete_sizes: Callable[[np.ndarray], None] = lambda sizes: None,
    believe_declared: bool = False,
) -> tuple[AnnotationIndex, list[str]]:
    """Read all annotations of a selection.

    Args:
        source: The dataset, of N selected rows.
        columns: Its column map.
        classes: Class names that the run asks for, or None for the dataset's own.
        box_format: ``deeplake_bbox_format``, or None.
        complete_sizes: Fills in heights and widths that are not known, in place; called with an array of shape (N, 2)
            that holds zeros in such rows.
        believe_declared: Whether a box format that the column declares is used also where it is implausible, with a
            remark: for those who pass the boxes on as they are.

    Returns:
        The index, and remarks for the log.

    Raises:
        AnnotationError: Boxes and labels of different number, NaN boxes, labels without a name, an implausible box
            format, a repeated image id; the row is named.
        ColumnError: The declared and the configured box format contradict each other.
        ConfigError: See `deeplake_mmdet.annotations.labels.class_names`.
        SourceError: The storage failed.
    """
    names = class_names(columns.class_names, classes)
    objects = _Objects(source, columns)
    boxes, offsets = objects.boxes, objects.offsets
    sizes = image_sizes(source, columns)
    complete_sizes(sizes)
    reading, remarks = choose_format(columns, box_format)
    object_sizes = np.repeat(sizes, np.diff(offsets), axis=0)
    place = objects.place('gt_bboxes')
    remarks = [*source.remarks, *remarks]
    try:
        remarks += verify_format(boxes, reading, object_sizes, place, trust_in(columns, box_format))
    except AnnotationError as error:
        if not (believe_declared and columns.box_format):
            raise
        remarks.append(str(error))
    index = AnnotationIndex(
        rows=source.rows,
        img_ids=_img_ids(source, columns),
        sizes=sizes,
        offsets=offsets,
        boxes=boxes,
        box_format=reading,
        labels=map_labels(objects.values('gt_labels'), columns.class_names, names, objects.place('gt_labels')),
        classes=names,
        category_ids=_category_ids(columns, names),
        areas=objects.areas(reading, object_sizes),
        crowd=objects.flags('gt_iscrowd'),
        difficult=objects.flags('gt_difficult'),
        ignored=objects.flags('gt_ignore'),
    )
    return index, remarks


class _Objects:
    """All columns of one entry an object, read together and checked against each other."""

    def __init__(self, source: SourceHandle, columns: ColumnMap) -> None:
        self._source, self._columns = source, columns
        widths = {columns[role]: 4 if role == 'gt_bboxes' else None for role in _PER_OBJECT if columns.get(role)}
        self._read = read_flat(source, widths)
        self.boxes, self.offsets = self._read[columns['gt_bboxes']]
        _refuse_nan(self.boxes, self.place('gt_bboxes'), 'box')

    def place(self, role: str) -> Place:
        """Names the row of an object."""
        return Place(self._columns[role], self._source.rows, self.offsets)

    def values(self, role: str) -> np.ndarray:
        """One value an object, (M,).

        Raises:
            AnnotationError: A row holds more or fewer than it has boxes.
        """
        column = self._columns[role]
        values, offsets = self._read[column]
        wrong = np.flatnonzero(offsets != self.offsets)
        if len(wrong):
            differing = np.flatnonzero(np.diff(offsets) != np.diff(self.offsets))
            row = differing[0]
            raise AnnotationError(
                f'Row {int(self._source.rows[row])}: expected as many values in {column!r} as boxes in '
                f'{self._columns["gt_bboxes"]!r}, but got {np.diff(offsets)[row]} and {np.diff(self.offsets)[row]}. '
                f'{len(differing)} rows are affected in all: correct them, or leave them out by a query.'
            )
        return values

    def flags(self, role: str) -> np.ndarray:
        """The same as bool; all False where there is no such column."""
        return self.values(role).astype(bool) if self._columns.get(role) else np.zeros(len(self.boxes), bool)

    def areas(self, reading: BoxFormat, sizes: np.ndarray) -> np.ndarray:
        """Annotated areas, else those of the boxes; float64 (M,)."""
        if self._columns.get('gt_areas') is None:
            _, _, width, height = xywh_parts(self.boxes, reading, sizes)
            return width * height
        areas = self.values('gt_areas').astype(np.float64)
        _refuse_nan(areas[:, None], self.place('gt_areas'), 'area')
        return areas


def _refuse_nan(values: np.ndarray, place: Place, what: str) -> None:
    if values.dtype.kind != 'f':
        return
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise AnnotationError(
            f'{place(wrong[0])}: expected finite numbers, but got the {what} {values[wrong[0]].tolist()}. '
            f'{len(wrong)} objects are affected in all: correct them, or leave their rows out by a query.'
        )


def _img_ids(source: SourceHandle, columns: ColumnMap) -> np.ndarray | Texts:
    column, rows = columns.get('img_id'), source.rows
    if column is None or not len(rows):
        return rows
    values = source.read_column(column, 0, len(rows))
    ids: np.ndarray | list[str] = (
        [str(value) for value in values] if isinstance(values, list) else np.asarray(values).reshape(-1)
    )
    if isinstance(ids, np.ndarray) and ids.dtype.kind == 'f':
        ids = _whole(ids, column, rows)
    unique, counts = np.unique(np.asarray(ids), return_counts=True)
    if len(unique) < len(rows):
        repeated = int(np.argmax(counts))
        places = rows[np.flatnonzero(np.asarray(ids) == unique[repeated])[:3]].tolist()
        raise AnnotationError(
            f'Column {column!r}: expected every image id once, but got {unique[repeated]} in the rows {places}. '
            'Evaluation would mix these images up.'
        )
    return ids if isinstance(ids, np.ndarray) and ids.dtype.kind in 'biu' else Texts.of(map(str, ids))


def _whole(ids: np.ndarray, column: str, rows: np.ndarray) -> np.ndarray:
    """Floats that are whole numbers as int64."""
    wrong = np.flatnonzero(ids != np.round(ids))
    if len(wrong):
        raise AnnotationError(
            f'Column {column!r}, row {int(rows[wrong[0]])}: expected a whole number or a text as image id, but got '
            f'{ids[wrong[0]]}. Name another column with deeplake_tensors=dict(img_id=…).'
        )
    return ids.astype(np.int64)


def _category_ids(columns: ColumnMap, names: Sequence[str]) -> tuple[int, ...]:
    """The original category ids of the run's classes; their positions where the dataset keeps none."""
    if columns.category_ids is None or columns.class_names is None:
        return tuple(range(len(names)))
    stored = dict(zip(columns.class_names, columns.category_ids, strict=True))
    return tuple(stored[name] for name in names)
