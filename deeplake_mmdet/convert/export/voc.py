"""Deep Lake to PASCAL VOC: an XML file an image, a list of ids a split, and the images.

Corners count from 1, as `convert_voc` and MMDetection's ``XMLDataset`` read them: 1 is added to each. The format is the
one of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any, ClassVar
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from deeplake_mmdet.convert.export.further_columns import object_values
from deeplake_mmdet.convert.export.report import ExportReport
from deeplake_mmdet.convert.export.rows import ExportRow
from deeplake_mmdet.convert.export.run import ExportFormat, Source, run_export
from deeplake_mmdet.convert.voc_file import CORNERS
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import ConversionError

FOLDER = 'JPEGImages'
FRACTIONAL = 'boxes between pixels, written as decimals, which VOC tools truncate'
AS_DIFFICULT = 'crowd regions and ignored objects, written as difficult'
NOT_JPEG = "images that are not called .jpg, which MMDetection's XMLDataset does not find"
SPACES = 'images with a space in their id, where VOC tools split the line'


def export_voc(dataset: Source, dst: str | os.PathLike, **options: Any) -> ExportReport:
    """Writes a dataset as a PASCAL VOC tree: ``Annotations``, ``ImageSets/Main/<split>.txt`` and ``JPEGImages``.

    The files of an image that is in several splits are written once.

    Args:
        dataset: The path of a dataset, or the ``deeplake_*`` keys of one.
        dst: The folder to make.
        **options: See `deeplake_mmdet.convert.export.run.run_export`.

    Returns:
        What was written, and what VOC could not say.

    Raises:
        ConversionError: As `run_export`; an image is in a split twice, or a name cannot stand in XML.
        ConfigError, SourceError, ColumnError, AnnotationError, ImageReadError: The dataset cannot be read.
    """
    return run_export(dataset, dst, VocFiles, **options)


class VocFiles(ExportFormat):
    """A VOC tree; see `ExportFormat`."""

    numbers: ClassVar[Sequence[str]] = ('truncated',)

    def begin(self, split: str, dataset: AnnotatedDataset) -> None:
        super().begin(split, dataset)
        for name in dataset.index.classes:
            _check_text(name, 'class')
        self._index = dataset.index
        self._truncated = object_values(dataset, 'truncated')
        self._list: IO = self.tree.open(f'ImageSets/Main/{split}.txt')

    def write(self, row: ExportRow) -> None:
        name = _check_text(row.file_name.removeprefix(f'{FOLDER}/'), row.where)
        image_id = name.removesuffix(PurePosixPath(name).suffix)
        self.claim(image_id, row)
        self._list.write(f'{image_id}\n')
        self._note(row, name, image_id)
        self.report.count(self._index.classes, self._index.labels[row.objects])
        self.tree.write('Annotations', f'{image_id}.xml', _bytes(self._annotation(row, name)), row.where)
        if row.data is not None:
            self.tree.write(FOLDER, name, row.data, row.where)

    def end(self) -> None:
        self._list.close()

    def finish(self, datasets: Mapping[str, AnnotatedDataset]) -> None:
        split, dataset = next(iter(datasets.items()))
        self.report.hint = (
            f"type='XMLDataset', data_root={self.tree.path!r}, ann_file='ImageSets/Main/{split}.txt', "
            f"data_prefix=dict(sub_data_root=''), metainfo=dict(classes={dataset.index.classes})"
        )

    def _note(self, row: ExportRow, name: str, image_id: str) -> None:
        index, objects = self._index, row.objects
        marked = index.crowd[objects] | index.ignored[objects]
        self.report.note(AS_DIFFICULT, row.file_name, int((marked & ~index.difficult[objects]).sum()))
        self.report.note(NOT_JPEG, row.file_name, not name.endswith('.jpg'))
        self.report.note(SPACES, row.file_name, len(image_id.split()) > 1)

    def _annotation(self, row: ExportRow, name: str) -> ElementTree.Element:
        index, objects = self._index, row.objects
        root = ElementTree.Element('annotation')
        _add(root, 'filename', name)
        size = _add(root, 'size')
        height, width = row.size_hw
        for tag, text in (('width', width), ('height', height), ('depth', _depth(row.data))):
            if text is not None:
                _add(size, tag, text)
        corners = index.xyxy(objects, row.image) + 1
        self.report.note(FRACTIONAL, row.file_name, int((corners != np.trunc(corners)).any(axis=1).sum()))
        difficult = (index.difficult | index.crowd | index.ignored)[objects]
        truncated = np.zeros(len(objects)) if self._truncated is None else self._truncated[objects]
        for place, label in enumerate(index.labels[objects].tolist()):
            item = _add(root, 'object')
            _add(item, 'name', index.classes[label])
            _add(item, 'truncated', int(truncated[place]))
            _add(item, 'difficult', int(difficult[place]))
            box = _add(item, 'bndbox')
            for tag, value in zip(CORNERS, corners[place].tolist(), strict=True):
                _add(box, tag, int(value) if value.is_integer() else value)
        return root


def _add(parent: ElementTree.Element, tag: str, text: Any = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag)
    element.text = None if text is None else str(text)
    return element


def _bytes(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='utf-8') + b'\n'


def _depth(data: bytes | None) -> int | None:
    """Channels of an encoded image; None where there is none, or none that can be told."""
    try:
        with Image.open(io.BytesIO(data or b'')) as image:
            return len(image.getbands())
    except OSError:
        return None


def _check_text(text: str, where: str) -> str:
    """Returns a name that XML and a line of text can hold."""
    if not text.isprintable() or text != text.strip():
        raise ConversionError(
            f'export: {where} expected a name without control characters and without spaces around it, but got '
            f'{text!r}. Rename it, or leave it out.'
        )
    return text
