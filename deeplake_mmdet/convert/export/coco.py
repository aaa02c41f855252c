"""Deep Lake to COCO: one JSON file a split, and its images; what `convert_coco` read comes out as it went in.

The file is written while rows are read. Its annotations follow its images, so they wait in a file of their own.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, ClassVar

from deeplake_mmdet.config.tensor_roles import TENSOR_ROLES
from deeplake_mmdet.convert.coco_fields import annotation_base, dump_json, image_base, with_fields
from deeplake_mmdet.convert.export.coco_document import annotation_ids, categories_of, top_level_of
from deeplake_mmdet.convert.export.further_columns import object_values
from deeplake_mmdet.convert.export.report import ExportReport
from deeplake_mmdet.convert.export.rows import ExportRow
from deeplake_mmdet.convert.export.run import ExportFormat, Source, run_export
from deeplake_mmdet.convert.export.tree import ExportTree
from deeplake_mmdet.convert.schema import COCO_FIELDS, COCO_KEYPOINTS
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import ConversionError

LAYOUTS = ('coco', 'fiftyone')
AS_CROWD = 'difficult objects, written as crowd regions'


def export_coco(
    dataset: Source,
    dst: str | os.PathLike,
    *,
    layout: str = 'coco',
    splits: Sequence[str] | None = None,
    **options: Any,
) -> ExportReport:
    """Writes a dataset as COCO files.

    Args:
        dataset: The path of a dataset, or the ``deeplake_*`` keys of one.
        dst: The folder to make.
        layout: ``'coco'``: ``annotations/instances_<split>.json`` and ``<split>/<file_name>``; or ``'fiftyone'``:
            ``labels.json`` and ``data/<file_name>``, which FiftyOne imports as a ``COCODetectionDataset``. With
            ``splits`` each of them is in a folder ``<split>``.
        splits: Names of saved views to export, in place of one selection.
        **options: See `deeplake_mmdet.convert.export.run.run_export`.

    Returns:
        What was written, and what COCO could not say.

    Raises:
        ConversionError: As `run_export`; or two annotations have one id.
        ConfigError, SourceError, ColumnError, AnnotationError, ImageReadError: The dataset cannot be read.
    """
    if layout not in LAYOUTS:
        raise ConversionError(
            f'export_coco(layout=) expected one of {", ".join(map(repr, LAYOUTS))}, but got {layout!r}. Choose one.'
        )
    fiftyone = functools.partial(FiftyOneFiles, nested=splits is not None)
    return run_export(dataset, dst, CocoFiles if layout == 'coco' else fiftyone, splits=splits, **options)


class CocoFiles(ExportFormat):
    """COCO's own layout; see `ExportFormat`."""

    roles = TENSOR_ROLES
    texts: ClassVar[Mapping[str, str]] = {
        'image_fields': COCO_FIELDS,
        'annotation_fields': COCO_FIELDS,
        'keypoints': COCO_KEYPOINTS,
    }
    numbers: ClassVar[Sequence[str]] = ('ann_ids', 'truncated')
    reserved: ClassVar[Sequence[str]] = ('annotations',)
    masks = True

    def begin(self, split: str, dataset: AnnotatedDataset) -> None:
        super().begin(split, dataset)
        self._index = dataset.index
        self._numbers = annotation_ids(dataset)
        self._flags = {'truncated': object_values(dataset, 'truncated')}
        self._flags['difficult'] = self._index.difficult if dataset.columns.get('gt_difficult') else None
        self._categories = categories_of(dataset)
        annotation_file, self._folder = self.places(split)
        self._annotations: IO = self.tree.scratch()
        self._file: IO = self.tree.open(annotation_file)
        top_level = top_level_of(dataset, self.report)
        self._file.write('{' + ''.join(f'{dump_json(key)}:{dump_json(value)},\n' for key, value in top_level.items()))
        self._file.write('"images":[')
        self._before = {self._file: '\n', self._annotations: '\n'}

    def places(self, split: str) -> tuple[str, str]:
        """The annotation file and the folder of the images of a split."""
        return f'annotations/instances_{split}.json', split

    def write(self, row: ExportRow) -> None:
        self._append(self._file, self.image(row))
        for annotation in self._objects(row):
            self._append(self._annotations, annotation)
        self.report.count(self._index.classes, self._index.labels[row.objects])
        if row.data is not None:
            self.tree.write(self._folder, row.file_name, row.data, row.where)

    def end(self) -> None:
        self._annotations.seek(0)
        with self._file as file:
            file.write('\n],\n"annotations":[')
            shutil.copyfileobj(self._annotations, file)
            file.write(f'\n],\n"categories":{dump_json(self._categories)}}}\n')
        self._annotations.close()

    def finish(self, datasets: Mapping[str, AnnotatedDataset]) -> None:
        file, folder = (os.path.join(self.tree.path, place) for place in self.places(next(iter(datasets))))
        self.report.hint = f"type='CocoDataset', ann_file={file!r}, data_prefix=dict(img={folder!r})"

    def image(self, row: ExportRow) -> dict[str, Any]:
        """The entry of an image."""
        base = image_base(_img_id(self._index.img_ids[row.image]), row.file_name, *row.size_hw)
        return with_fields(base, row.fields('image_fields'))

    def _append(self, file: IO, entry: Mapping[str, Any]) -> None:
        file.write(f'{self._before[file]}{dump_json(entry)}')
        self._before[file] = ',\n'

    def _objects(self, row: ExportRow) -> Iterator[dict[str, Any]]:
        """The annotations of one image."""
        index, objects = self._index, row.objects
        image_id = _img_id(index.img_ids[row.image])
        difficult = index.difficult[objects] & ~index.crowd[objects]
        self.report.note(AS_CROWD, row.file_name, int(difficult.sum()))
        values = zip(
            self._numbers[objects].tolist(),
            [index.category_ids[label] for label in index.labels[objects].tolist()],
            index.xywh(objects, row.image).tolist(),
            index.areas[objects].tolist(),
            (index.crowd | index.difficult)[objects].astype(int).tolist(),
            index.ignored[objects].astype(int).tolist(),
            row.masks(),
            row.each('keypoints'),
            strict=True,
        )
        flags = {name: of[objects].astype(int).tolist() for name, of in self._flags.items() if of is not None}
        for place, (value, fields) in enumerate(zip(values, row.each('annotation_fields'), strict=True)):
            number, category, *rest = value
            base = annotation_base(number, image_id, category, *rest) | {name: of[place] for name, of in flags.items()}
            yield with_fields(base, fields or {})


class FiftyOneFiles(CocoFiles):
    """The layout that FiftyOne imports; see `ExportFormat`.

    Args:
        nested: Whether each split has a folder of its own.
    """

    reserved: ClassVar[Sequence[str]] = ()

    def __init__(self, tree: ExportTree, report: ExportReport, *, nested: bool) -> None:
        super().__init__(tree, report)
        self._nested = nested

    def places(self, split: str) -> tuple[str, str]:
        folder = f'{split}/' if self._nested else ''
        return f'{folder}labels.json', f'{folder}data'

    def image(self, row: ExportRow) -> dict[str, Any]:
        height, width = row.size_hw
        return super().image(row) | {'height': height, 'width': width}  # without which FiftyOne fails

    def finish(self, datasets: Mapping[str, AnnotatedDataset]) -> None:
        folder = os.path.join(self.tree.path, next(iter(datasets))) if self._nested else self.tree.path
        self.report.hint = f'fiftyone.Dataset.from_dir({folder!r}, fiftyone.types.COCODetectionDataset)'


def _img_id(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)
