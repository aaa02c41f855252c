"""What a COCO file says beside its images: ids of annotations, categories, and ``info``, ``licenses`` and the like."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from deeplake_mmdet.convert.coco_fields import category_base, with_fields
from deeplake_mmdet.convert.export.further_columns import SPLIT, object_values
from deeplake_mmdet.convert.export.report import ExportReport
from deeplake_mmdet.convert.schema import COCO_TOP_LEVEL
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.column_types import metadata_of


def annotation_ids(dataset: AnnotatedDataset) -> np.ndarray:
    """The id of each object: the dataset's own, or numbers from 1, because 0 means none to pycocotools.

    Raises:
        ConversionError: Two objects that are exported have the same.
    """
    found = object_values(dataset, 'ann_ids')
    if found is None:
        return np.arange(1, len(dataset.index.labels) + 1)
    numbers = np.sort(found[dataset.index.labels >= 0])
    repeated = np.flatnonzero(numbers[1:] == numbers[:-1])
    if len(repeated):
        raise ConversionError(
            f"export_coco(dataset=) expected each id once in the column 'ann_ids' of {dataset.source.revision}, but "
            f'got {numbers[repeated[0]]} twice. Export the views of the files it was made from one by one (--splits).'
        )
    return found.astype(np.int64)


def categories_of(dataset: AnnotatedDataset) -> list[dict[str, Any]]:
    """The ``categories`` of the annotation file, with what the metadata of the label column keeps of them."""
    column = dataset.source.selection()[dataset.columns['gt_labels']]
    stored = dataset.columns.class_names or dataset.index.classes
    parents = metadata_of(column, 'supercategories', str) or [''] * len(stored)
    fields: list[dict[str, Any]] = [{} for _ in stored]
    if 'category_fields' in list(column.metadata.keys()):
        fields = json.loads(column.metadata['category_fields'])
    found = []
    for name, number in zip(dataset.index.classes, dataset.index.category_ids, strict=True):
        label = stored.index(name)
        found.append(with_fields(category_base(number, name, parents[label]), fields[label]))
    return found


def top_level_of(dataset: AnnotatedDataset, report: ExportReport) -> dict[str, Any]:
    """``info``, ``licenses`` and the like, of the files that the rows came from, as far as these agree."""
    metadata = dataset.source.metadata()
    kept = {key: json.loads(text) for key, text in metadata.items() if key.startswith(COCO_TOP_LEVEL)}
    if not kept or not len(dataset) or SPLIT not in dataset.column_names():
        return next(iter(kept.values())) if len(kept) == 1 else {}
    splits = sorted(set(dataset.source.read(SPLIT, dataset.index.rows.tolist())))
    of_splits = [kept.get(f'{COCO_TOP_LEVEL}{split}', {}) for split in splits]
    first = of_splits[0]
    agreed = {key: value for key, value in first.items() if all(other.get(key) == value for other in of_splits)}
    differing = sorted({key for keys in of_splits for key in keys} - set(agreed))
    if differing:
        report.remark(f'{", ".join(differing)} of {", ".join(splits)} differ, and are left out')
    return agreed
