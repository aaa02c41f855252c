"""A dataset with its annotations, opened for looking at: what `DeepLakeDataset` reads, without PyTorch and MMDetection.

A verb that draws one row should start in a second, and importing MMDetection alone takes six.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deeplake_mmdet.annotations.build import build_index
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.datasets.image_faults import ImageFaults
from deeplake_mmdet.datasets.image_store import ImageStore
from deeplake_mmdet.datasets.mask_store import MaskStore
from deeplake_mmdet.errors import ImageReadError
from deeplake_mmdet.source.columns import ColumnMap, map_columns
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.images import ImageReader


class AnnotatedDataset:
    """The selected rows of a dataset.

    Args:
        config: The ``deeplake_*`` keys of a dataset.
        classes: Class names to keep, in label order; all by default.

    Raises:
        ConfigError, SourceError, ColumnError, AnnotationError: As `DeepLakeDataset`.

    Attributes:
        source: The pinned dataset.
        columns: Which column plays which role.
        index: Its annotations, of all selected rows.
        remarks: What was noticed on reading them.
        masks: Its masks, or None where it has none.
    """

    def __init__(self, config: Mapping[str, Any], classes: Sequence[str] | None = None) -> None:
        spec = DatasetSpec.from_config(config)
        self.source: SourceHandle = SourceHandle.resolve(spec)
        self.columns: ColumnMap = map_columns(
            self.source.base(), self.source.selection(), spec.tensors, self.source.scalars
        )
        sized = bool(self.columns.get('height') and self.columns.get('width'))
        self._images = ImageStore(ImageReader(self.source, self.columns.image), sizes_from_headers=not sized)
        faults = ImageFaults(self._images, skip=False)
        self.index: AnnotationIndex
        self.index, self.remarks = build_index(
            self.source,
            self.columns,
            classes=classes,
            box_format=spec.bbox_format,
            complete_sizes=lambda sizes: faults.complete_sizes(sizes, self.source.rows),
        )
        masks = self.columns.masks
        self.masks = None if masks is None else MaskStore(self.source, masks, self.index)

    def __len__(self) -> int:
        return len(self.index)

    def encoded(self, image: int) -> bytes | ImageReadError:
        """The encoded bytes of one image of the index, or why there are none."""
        try:
            return self._images.get(int(self.index.rows[image]))
        except ImageReadError as error:
            return error

    def file_name(self, image: int) -> str:
        """What the column ``file_name`` says of one image; its id where there is no such column."""
        names = {column.name for column in self.source.base().schema.columns}
        if 'file_name' not in names:
            return f'image {self.index.img_ids[image]}'
        return str(self.source.read('file_name', [int(self.index.rows[image])])[0])
