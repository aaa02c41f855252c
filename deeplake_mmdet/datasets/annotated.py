"""A dataset with its annotations: what `DeepLakeDataset` reads, without PyTorch and MMDetection.

A verb that draws one row, or writes all of them as files, should start in a second; importing MMDetection alone takes
six.
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
        believe_declared: See `build_index`.

    Raises:
        ConfigError, SourceError, ColumnError, AnnotationError: As `DeepLakeDataset`.

    Attributes:
        source: The pinned dataset.
        columns: Which column plays which role.
        index: Its annotations, of all selected rows.
        remarks: What was noticed on reading them.
        images: Its images, by row.
        masks: Its masks, or None where it has none.
    """

    def __init__(
        self, config: Mapping[str, Any], classes: Sequence[str] | None = None, *, believe_declared: bool = False
    ) -> None:
        spec = DatasetSpec.from_config(config)
        self.source: SourceHandle = SourceHandle.resolve(spec)
        self.columns: ColumnMap = map_columns(
            self.source.base(), self.source.selection(), spec.tensors, self.source.scalars
        )
        sized = bool(self.columns.get('height') and self.columns.get('width'))
        self.images = ImageStore(ImageReader(self.source, self.columns.image), sizes_from_headers=not sized)
        faults = ImageFaults(self.images, skip=False)
        self.index: AnnotationIndex
        self.index, self.remarks = build_index(
            self.source,
            self.columns,
            classes=classes,
            box_format=spec.bbox_format,
            complete_sizes=lambda sizes: faults.complete_sizes(sizes, self.source.rows),
            believe_declared=believe_declared,
        )
        masks = self.columns.masks
        self.masks = None if masks is None else MaskStore(self.source, masks, self.index)

    def __len__(self) -> int:
        return len(self.index)

    def column_names(self) -> list[str]:
        """Names of all columns of the dataset, whatever their role."""
        return [column.name for column in self.source.base().schema.columns]

    def encoded(self, image: int) -> bytes | ImageReadError:
        """The encoded bytes of one image of the index, or why there are none."""
        try:
            return self.images.get(int(self.index.rows[image]))
        except ImageReadError as error:
            return error

    def file_name(self, image: int) -> str:
        """What the column ``file_name`` says of one image; its id where there is no such column."""
        if 'file_name' not in self.column_names():
            return f'image {self.index.img_ids[image]}'
        return str(self.source.read('file_name', [int(self.index.rows[image])])[0])
