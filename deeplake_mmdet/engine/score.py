"""Scoring a dataset with a detector: window after window on every rank, gathered by the first, spooled to its disk."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.dist import get_rank, get_world_size

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.dead_workers import rows_named
from deeplake_mmdet.engine.scoring_data import scoring_loader, windows
from deeplake_mmdet.engine.told_failures import failures_told
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.patient_group import gather
from deeplake_mmdet.scoring.image_losses import ImageLosses, ImageResult
from deeplake_mmdet.scoring.values import Part, Scored, part_of


@dataclass(frozen=True)
class ScoringOptions:
    """How a dataset is scored.

    Attributes:
        batch_size: Images that go through the backbone together, at most.
        workers: Processes that load images; 0 for none.
        iou_thr: Overlap from which on an object is found.
        score_thr: Score from which on a detection counts and is kept.
        masks: Whether the masks of detections are kept.
        batched: Whether the backbone may take several images at once.
    """

    batch_size: int = 16
    workers: int = 2
    iou_thr: float = 0.5
    score_thr: float = 0.3
    masks: bool = False
    batched: bool = True


class Spool:
    """The parts of a scoring, on disk: all of a large dataset would not fit into memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the spool

    def add(self, part: Part) -> None:
        """Keep a part."""
        self._file.seek(0, os.SEEK_END)
        pickle.dump(part, self._file, pickle.HIGHEST_PROTOCOL)

    def __iter__(self) -> Iterator[Part]:
        place = 0
        while True:
            self._file.seek(place)
            try:
                part = pickle.load(self._file)
            except EOFError:
                return
            place = self._file.tell()
            yield part


def score_dataset(dataset: DeepLakeDataset, model: Any, options: ScoringOptions) -> tuple[Spool, str]:
    """Score all samples; all ranks call it.

    Args:
        dataset: Of `deeplake_mmdet.engine.scoring_data.scored_dataset`.
        model: The detector, in evaluation mode.
        options: How.

    Returns:
        The parts, all of them on the first rank and none on the others, and how losses were computed.

    Raises:
        ImageReadError, WorkerError, AnnotationError: An image cannot be read, or the detector gives no finite numbers.
    """
    losses = ImageLosses(model, batched=options.batched)
    spool, world = Spool(), get_world_size()
    own = windows(dataset, options.batch_size, get_rank(), world)
    rounds = max(len(windows(dataset, options.batch_size, rank, world)) for rank in range(world))
    with failures_told(), rows_named():
        parts = _parts(dataset, losses, own, options)
        for _ in range(rounds):
            for part in gather(next(parts, None)) or ():
                if part is not None:
                    spool.add(part)
    return spool, losses.how


def _parts(
    dataset: DeepLakeDataset, losses: ImageLosses, own: Sequence[list[list[int]]], options: ScoringOptions
) -> Iterator[Part]:
    loader = iter(scoring_loader(dataset, [batch for window in own for batch in window], options.workers))
    for window in own:
        scored: list[Scored] = []
        for _ in window:
            batch = next(loader)
            scored += [
                _scored(dataset, sample, result, masks=options.masks)
                for sample, result in zip(batch['data_samples'], losses(batch), strict=True)
            ]
        yield part_of(dataset, scored, iou_thr=options.iou_thr, score_thr=options.score_thr, masks=options.masks)


def _scored(dataset: DeepLakeDataset, sample: Any, result: ImageResult, *, masks: bool) -> Scored:
    found = result.prediction.pred_instances
    kept = ('bboxes', 'scores', 'labels', *(('masks', 'mask_scores') if masks else ()))
    instances = {name: found[name] for name in kept if name in found}
    detections = Detections.of_sample(
        {'img_id': sample.img_id, 'img_path': sample.img_path, 'pred_instances': instances}
    )
    image = int(np.asarray(dataset.sample_images)[sample.sample_idx])
    return Scored(image, result.losses, result.object_losses, detections)
