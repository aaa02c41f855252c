"""`DeepLakeDataset`: MMDetection's dataset contract over a Deep Lake revision.

Everything that MMDetection builds around `CocoDataset` works around it: wrappers, samplers, multi-image transforms,
hooks, analysis tools. It gives the samples that `CocoDataset` gives for the same annotations.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from deeplake_mmdet.annotations.cache.cached import cached_index
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.labels import class_names
from deeplake_mmdet.annotations.memory import give_back
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.datasets import being_read
from deeplake_mmdet.datasets.image_faults import ImageFaults
from deeplake_mmdet.datasets.image_store import ImageStore
from deeplake_mmdet.datasets.mask_steps import loads_masks, loads_polygons
from deeplake_mmdet.datasets.mask_store import MaskStore, no_masks
from deeplake_mmdet.datasets.open_objects import OpenObjects
from deeplake_mmdet.datasets.palette import palette
from deeplake_mmdet.datasets.selection import check_not_empty, filtered, smallest_box, subset
from deeplake_mmdet.errors import AnnotationError, ConfigError, ImageReadError, OutOfMemoryError
from deeplake_mmdet.source.columns import ColumnMap, map_columns
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.images import ImageReader

# By `identity`, which a dataset's metainfo carries to metrics.
open_datasets: OpenObjects[DeepLakeDataset] = OpenObjects()


def identity(strings: Mapping[str, str]) -> str:
    """Key of a dataset in `open_datasets`, from ``metainfo['deeplake']``."""
    return '\0'.join(f'{key}={value}' for key, value in sorted(strings.items()))


@DATASETS.register_module(force=True)
class DeepLakeDataset(BaseDetDataset):
    """A detection dataset in Deep Lake.

    Args:
        deeplake_path (str): Local folder or URL (``s3://``, ``gcs://``, ``azure://``, ``al://``, ``mem://``), with
            ``@branch`` or ``@view`` at its end if wanted.
        deeplake_credentials (dict, optional): ``dict(token=…, creds=dict(…))``. Not needed for local data, nor where
            the environment provides credentials.
        deeplake_branch (str, optional): Branch to read. Defaults to the main one.
        deeplake_commit_id (str, optional): Commit to read. Defaults to the head, resolved once.
        deeplake_view_id (str, optional): Saved view to read: a Deep Lake tag.
        deeplake_query (str, optional): TQL that selects rows of the commit or view.
        deeplake_tensors (dict, optional): Role to column: ``img``, ``gt_bboxes``, ``gt_labels``, ``gt_masks``,
            ``gt_iscrowd``, ``gt_difficult``, ``gt_ignore``, ``gt_areas``, ``img_id``, ``height``, ``width``. Columns
            that are not named are found by their type.
        deeplake_bbox_format (dict, optional): ``dict(mode='LTWH'|'LTRB'|'CCWH', type='pixel'|'fractional')``.
            Defaults to what the column declares.
        deeplake_dataloader_type (str): ``'auto'`` or ``'c++'`` read the images and masks of a batch in one call each of
            Deep Lake's engine, ``'python'`` one by one.
        on_error (str): ``'raise'`` or ``'skip'`` for images that cannot be read. Skipped training images are replaced
            by the next readable one; skipped evaluation images are found and left out before evaluation begins.
        metainfo (dict, optional): ``classes`` selects and orders classes by name; defaults to all of the dataset's.
        filter_cfg (dict, optional): ``filter_empty_gt`` and ``min_size`` leave out images, as in `CocoDataset`, and not
            in test mode. ``bbox_min_size``, in pixels, has boxes ignored that are narrower or lower: in training, as in
            `VOCDataset`, and in evaluation, where finding them is neither right nor wrong.
        indices (int or Sequence[int], optional): Use only the first few, or these, samples.
        pipeline (list): Transforms.
        test_mode (bool): Whether this is for evaluation.
        lazy_init (bool): Open and read nothing until it is needed.
        max_refetch (int): How many other samples are tried when the pipeline gives None.
        return_classes (bool), caption_prompt (dict): As in `BaseDetDataset`.
        **unknown: Any other key is an error that suggests the right one.

    Raises:
        ConfigError, SourceError, ColumnError, AnnotationError, EmptyDatasetError: See `deeplake_mmdet.errors`.

    Examples:
        >>> dataset = DeepLakeDataset(deeplake_path='data/bccd', deeplake_view_id='train')
        >>> dataset.get_data_info(0)['instances'][0]
        {'ignore_flag': 0, 'bbox': [259.0, 176.0, 490.0, 375.0], 'bbox_label': 2}
    """

    def __init__(
        self,
        deeplake_path: str | None = None,
        *,
        deeplake_credentials: Mapping[str, Any] | None = None,
        deeplake_branch: str | None = None,
        deeplake_commit_id: str | None = None,
        deeplake_view_id: str | None = None,
        deeplake_query: str | None = None,
        deeplake_tensors: Mapping[str, str] | None = None,
        deeplake_bbox_format: Mapping[str, str] | None = None,
        deeplake_dataloader_type: str = 'auto',
        on_error: str = 'raise',
        metainfo: Mapping[str, Any] | None = None,
        filter_cfg: Mapping[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        return_classes: bool = False,
        caption_prompt: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        self._spec = DatasetSpec.from_config(
            {
                'deeplake_path': deeplake_path,
                'deeplake_credentials': deeplake_credentials,
                'deeplake_branch': deeplake_branch,
                'deeplake_commit_id': deeplake_commit_id,
                'deeplake_view_id': deeplake_view_id,
                'deeplake_query': deeplake_query,
                'deeplake_tensors': deeplake_tensors,
                'deeplake_bbox_format': deeplake_bbox_format,
                'deeplake_dataloader_type': deeplake_dataloader_type,
                'on_error': on_error,
                **unknown,
            }
        )
        if 'CLASSES' in (metainfo or {}):
            raise ConfigError("DeepLakeDataset(metainfo.CLASSES=) is a key of MMDetection 2. Write 'classes'.")
        self._source: SourceHandle | None = None
        self._columns: ColumnMap | None = None
        self._index: AnnotationIndex | None = None
        self._images: ImageStore | None = None
        self._masks: MaskStore | None = None
        self._order = np.zeros(0, np.int64)
        super().__init__(
            metainfo=metainfo,
            filter_cfg=filter_cfg,
            indices=indices,
            serialize_data=False,  # the annotations are arrays already
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
            return_classes=return_classes,
            caption_prompt=caption_prompt,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._fully_initialized and self.source.revision.digest:
            self._announce()

    # What was opened

    @property
    def source(self) -> SourceHandle:
        """The pinned dataset, opened when first asked for."""
        if self._source is None:
            self._source = SourceHandle.resolve(self._spec)
        return self._source

    @property
    def columns(self) -> ColumnMap:
        """Which column plays which role."""
        if self._columns is None:
            self._columns = map_columns(
                self.source.base(), self.source.selection(), self._spec.tensors, self.source.scalars
            )
        return self._columns

    @property
    @force_full_init
    def index(self) -> AnnotationIndex:
        """All annotations of the opened rows, before filters."""
        assert self._index is not None
        return self._index

    @property
    @force_full_init
    def images(self) -> ImageStore:
        """The images, by row."""
        assert self._images is not None
        return self._images

    @property
    def masks(self) -> MaskStore:
        """The masks, by image of the index.

        Raises:
            ColumnError: There are none.
        """
        if self._masks is None:
            if self.columns.masks is None:
                raise no_masks(self.source)
            self._masks = MaskStore(self.source, self.columns.masks, self.index)
        return self._masks

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes (a tuple of names), palette, whatever ``metainfo`` was given, and what was read, as plain strings."""
        info = copy.deepcopy(self._metainfo)
        info['classes'] = class_names(self.columns.class_names, self._metainfo.get('classes'))
        info.setdefault('palette', palette(len(info['classes'])))
        if self._fully_initialized:
            if not self.source.revision.digest:
                self.source.with_digest(self._digest())
            self._announce()  # also of a subset, which shares the source of a dataset that was announced
        info['deeplake'] = self.source.revision.to_strings()
        return info

    def _digest(self) -> str:
        """Of the annotations and of how they are read: two datasets may differ in their masks' column alone, say."""
        masks, smallest = self.columns.masks, self.smallest_box
        reading = [masks.name] if masks else []
        reading += [f'bbox_min_size={smallest}'] if smallest else []
        if not reading:
            return self.index.digest
        return hashlib.blake2b('\0'.join([self.index.digest, *reading]).encode(), digest_size=16).hexdigest()

    # Reading the annotations

    _fully_initialized: bool

    def full_init(self) -> None:
        """Open the dataset, read its annotations, filter; no image is read."""
        if self._fully_initialized:
            return
        smallest_box(self.filter_cfg)  # refuses what is no number before anything is read
        columns, source = self.columns, self.source
        sizes_from_headers = not (columns.get('height') and columns.get('width'))
        self._images = ImageStore(ImageReader(source, columns.image), sizes_from_headers=sizes_from_headers)
        self._faults = ImageFaults(self._images, skip=self._spec.on_error == 'skip')
        self._index, remarks = cached_index(
            source,
            columns,
            classes=self._metainfo.get('classes'),
            box_format=self._spec.bbox_format,
            complete_sizes=lambda sizes: self._faults.complete_sizes(sizes, source.rows),
            on_error=self._spec.on_error,
        )
        self._order, counts = filtered(self._index, None if self.test_mode else self.filter_cfg)
        self._order = subset(self._order, self._indices)
        if self.test_mode and self._faults.skip:
            readable = [self._faults.decodes(row) for row in self._index.rows[self._order].tolist()]
            self._order = self._order[np.array(readable, bool)]
        check_not_empty(self._order, self._index, counts, source)
        self._fully_initialized = True
        self._log_summary(remarks, counts)
        give_back()

    def _announce(self) -> None:
        """Let metrics find this dataset by what its metainfo says."""
        open_datasets.add(identity(self.source.revision.to_strings()), self)

    def _log_summary(self, remarks: Sequence[str], counts: Mapping[str, int]) -> None:
        assert self._index is not None
        index = self._index
        empty = int(np.sum(index.asked_for[self._order] == 0))
        filters = ''.join(f', {count} removed by {name}' for name, count in counts.items() if count)
        lines = [
            f'DeepLakeDataset: {self.source.revision}: {len(self._order)} images ({empty} without a box{filters}), '
            f'boxes {index.names_in(self._order)}',
            *remarks,
        ]
        for line in lines:
            print_log(line, logger='current')

    # Samples

    @force_full_init
    def __len__(self) -> int:
        return len(self._order)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Annotations of one sample, in the form of `CocoDataset`.

        Args:
            idx: Index of the sample; negative ones count from the end.

        Returns:
            ``img_path``, ``img_id``, ``seg_map_path``, ``height``, ``width``, ``instances`` (each ``ignore_flag``,
            ``bbox`` as xyxy pixels, ``bbox_label``, and ``mask`` where the pipeline asks for masks) and
            ``sample_idx``.
        """
        idx = range(len(self))[idx]
        image = int(self._order[idx])
        index, images = self.index, self.images
        img_id = index.img_ids[image]
        info: dict[str, Any] = {
            'img_path': images.uri(int(index.rows[image])),
            'img_id': img_id if isinstance(img_id, str) else int(img_id),
            'seg_map_path': None,
            'height': int(index.sizes[image, 0]),
            'width': int(index.sizes[image, 1]),
        }
        if self.return_classes:
            info |= {
                'text': index.classes,
                'caption_prompt': copy.deepcopy(self.caption_prompt),
                'custom_entities': True,
            }
        info['instances'] = self._instances(image)
        info['sample_idx'] = idx
        return info

    def _instances(self, image: int) -> list[dict[str, Any]]:
        index = self.index
        objects = index.objects_of(image)
        xyxy = index.xyxy(objects, image)
        ignored = index.crowd[objects] | index.difficult[objects] | self.too_small(xyxy)
        ignore, boxes = ignored.astype(int).tolist(), xyxy.tolist()
        labels = index.labels[objects].tolist()
        instances = [
            {'ignore_flag': flag, 'bbox': box, 'bbox_label': label}
            for flag, box, label in zip(ignore, boxes, labels, strict=True)
        ]
        masks = self._wanted_masks() if instances else None
        if masks is not None:
            found = masks.of(image, as_rings=loads_polygons(self._steps))
            for instance, place in zip(instances, (objects - index.offsets[image]).tolist(), strict=True):
                if found[place]:
                    instance['mask'] = found[place]
        return instances

    @property
    def on_error(self) -> str:
        """``'raise'`` or ``'skip'``: what is done about images that cannot be read."""
        return self._spec.on_error

    @property
    def smallest_box(self) -> float:
        """Width and height in pixels below which boxes are ignored: ``filter_cfg.bbox_min_size``, or 0."""
        return smallest_box(self.filter_cfg)

    def too_small(self, xyxy: np.ndarray) -> np.ndarray:
        """Which boxes are to be ignored for their size, bool (m,); `xyxy` in pixels, (m, 4)."""
        return (xyxy[:, 2:] - xyxy[:, :2] < self.smallest_box).any(axis=1)

    @property
    def _steps(self) -> list[Any]:
        return getattr(self.pipeline, 'transforms', [])

    def _wanted_masks(self) -> MaskStore | None:
        """The masks if somebody uses them, else None: they cost a read of storage each time.

        Raises:
            ColumnError: The pipeline asks for masks, and there are none.
        """
        if self._steps:
            return self.masks if loads_masks(self._steps) else None
        return None if self.columns.masks is None else self.masks

    def _missing_mask(self, image: int, error: Exception) -> AnnotationError | None:
        """What `LoadAnnotations` means by a bare ``KeyError: 'mask'``."""
        if not isinstance(error, KeyError) or error.args != ('mask',):
            return None
        return self.masks.missing(image, self.index.objects_of(image) - self.index.offsets[image])

    def masks_of(self, image: int) -> list[Any]:
        """COCO segmentations (rings, RLE or None) of all objects of one image of the index, one a box."""
        return self.masks.of(image)

    def masks_of_images(self, images: Sequence[int]) -> list[list[Any]]:
        """The same of some images of the index, read in bulk.

        Raises:
            ColumnError: There are none.
            AnnotationError: A row's masks cannot be drawn, or do not fit its boxes and its image.
        """
        return self.masks.of_images(images)

    def all_masks(self) -> list[list[Any]]:
        """The same of all images of the index."""
        return self.masks_of_images(range(len(self.index)))

    @property
    @force_full_init
    def sample_images(self) -> np.ndarray:
        """Place of each sample's image in the index, int64 (N,)."""
        return self._order

    @property
    def sample_sizes(self) -> np.ndarray:
        """Height and width of each sample in pixels, int64 (N, 2)."""
        return self.index.sizes[self._order]

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of one sample's boxes, int, one each."""
        image = int(self._order[range(len(self))[idx]])
        return self.index.labels[self.index.objects_of(image)].tolist()

    def prepare_data(self, idx: int) -> Any:
        """One sample through the pipeline.

        Raises:
            ImageReadError: Its image cannot be read; with ``on_error='skip'`` the next readable sample is given.
            OutOfMemoryError: There is not enough memory for it.
        """
        first = range(len(self))[idx]  # an IndexError ends `for sample in dataset`
        index = self.index
        for step in range(len(self)):
            place = (first + step) % len(self)
            self._begin([int(self._order[place])])
            try:
                sample = self.pipeline(self.get_data_info(place))
                being_read.end()
                return sample
            except MemoryError as error:
                raise self._too_large(int(index.rows[self._order[place]]), error) from error
            except Exception as error:
                row = int(index.rows[self._order[place]])
                unreadable = self._faults.of(row, error)
                if unreadable is None:
                    missing = self._missing_mask(int(self._order[place]), error)
                    if missing is None:
                        raise
                    raise missing from error
                if not self._faults.skip:
                    raise unreadable from error
                self._faults.note(row, unreadable)
        raise ImageReadError(f'{self.source.revision}: none of the {len(self)} images can be read.')

    def _too_large(self, row: int, error: MemoryError) -> OutOfMemoryError:
        return OutOfMemoryError(
            f'There is not enough memory for row {row} of {self.source.revision}: {error}. Set fewer num_workers or a '
            'smaller batch_size; a query can leave out an image that is much larger than the others.'
        )

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Several samples, their images and their masks read in one call each; PyTorch's fetcher calls it."""
        if self._spec.loader_type == 'python':
            return [self[idx] for idx in indices]
        order = [self._order[range(len(self))[idx]] for idx in indices]
        masks = self._wanted_masks()
        self._begin(order)
        self.images.read_ahead(self.index.rows[order])
        try:
            if masks is not None:
                masks.read_ahead(order)
            return [self[idx] for idx in indices]
        finally:
            self.images.forget()
            if masks is not None:
                masks.forget()

    def _begin(self, images: Sequence[int]) -> None:
        """Note, in a worker process, which images of the index are being read."""
        if being_read.is_noted():
            ids = [self.index.img_ids[image] for image in images]
            being_read.begin(self.index.rows[images].tolist(), ids, self.source.revision)

    # Subsets

    @force_full_init
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep only some samples; `indices` as in `BaseDataset.get_subset_`."""
        self._order = subset(self._order, indices)

    @force_full_init
    def get_subset(self, indices: int | Sequence[int]) -> DeepLakeDataset:
        """A dataset of some samples; it shares the annotations with this one."""
        other = copy.copy(self)
        other._order = subset(self._order, indices)
        other._metainfo = copy.deepcopy(self._metainfo)
        return other
