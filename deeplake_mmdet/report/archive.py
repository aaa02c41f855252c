"""An evaluation as one file without pickles, from which the page can be made again where nothing else is left.

Numbers are kept as they are; of the curves only what is drawn: all areas together, the highest number of detections.
Masks are kept only where the page is made from them: where they were evaluated and boxes were not.
"""

from __future__ import annotations

import itertools
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluation import Curves, Evaluation
from deeplake_mmdet.metrics.flat import offsets_of
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.report.gallery import GalleryImage
from deeplake_mmdet.report.outcome import compares_masks
from deeplake_mmdet.report.subject import Subject

FILE = 'evaluation.npz'
_FORMAT = 1
_TRUTH = ('rows', 'sizes', 'offsets', 'boxes_xywh', 'labels', 'areas', 'crowd', 'ignored')
_FOUND = ('offsets', 'boxes', 'scores', 'labels', 'mask_scores', 'sizes')
_CURVES = ('precision', 'recall', 'iou_thrs')


@dataclass(frozen=True)
class Report:
    """All that a page is made of, but for the course of the training.

    Attributes:
        subject: The run and when.
        evaluation: What was measured.
        gallery: The worst images.
    """

    subject: Subject
    evaluation: Evaluation
    gallery: list[GalleryImage]


def save(report: Report, folder: Path) -> Path:
    """Write `FILE` into a folder, whole or not at all; returns its path."""
    evaluation, truth, found = report.evaluation, report.evaluation.truth, report.evaluation.detections
    curves = {name: _drawn(curve) for name, curve in evaluation.curves.items()}
    masks = compares_masks(evaluation)
    words = {
        'format': _FORMAT,
        'subject': asdict(report.subject),
        'metric': evaluation.metric,
        'revision': dict(evaluation.revision),
        'values': {name: float(value) for name, value in evaluation.values.items()},
        'per_class': list(evaluation.per_class),
        'curves': {name: list(curve.max_dets) for name, curve in curves.items()},
        'img_ids': truth.img_ids,
        'classes': truth.classes,
        'category_ids': truth.category_ids,
        'segmentations': truth.segmentations if masks else None,
        'gallery': [{**vars(image), 'jpeg': None} for image in report.gallery],
    }
    arrays = {f'truth_{name}': getattr(truth, name) for name in _TRUTH}
    arrays |= {f'found_{name}': getattr(found, name) for name in _FOUND}
    arrays |= {f'curve_{key}_{name}': getattr(curve, name) for key, curve in curves.items() for name in _CURVES}
    arrays |= {f'class_{i}': np.asarray(column) for i, column in enumerate(evaluation.per_class.values())}
    arrays |= {f'jpeg_{i}': np.frombuffer(image.jpeg, np.uint8) for i, image in enumerate(report.gallery)}
    if masks and found.counts is not None:
        arrays['found_counts'] = np.frombuffer(b''.join(found.counts), np.uint8)
        arrays['found_count_lengths'] = np.array([len(counts) for counts in found.counts], np.int32)
    arrays['words'] = np.frombuffer(json.dumps(words, default=_plain).encode(), np.uint8)
    path, unfinished = folder / FILE, folder / f'{FILE}.part'
    with open(unfinished, 'wb') as file:
        np.savez_compressed(file, **arrays)
    os.replace(unfinished, path)
    return path


def load(path: Path) -> Report:
    """Read what `save` wrote.

    Raises:
        ConfigError: The file is damaged, or another version of this package wrote it.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            words = json.loads(arrays['words'].tobytes())
            if words['format'] != _FORMAT:
                raise ConfigError(
                    f'{path} expected format {_FORMAT}, but got {words["format"]!r}: another version of deeplake_mmdet '
                    'wrote it. Use that version, or evaluate again.'
                )
            return _report(words, arrays)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f'{path} expected an evaluation, but it is damaged: {error!r}. Evaluate again.') from error


def _report(words: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Report:
    truth = GroundTruth(
        img_ids=words['img_ids'],
        classes=tuple(words['classes']),
        category_ids=tuple(words['category_ids']),
        segmentations=words['segmentations'],
        **{name: arrays[f'truth_{name}'] for name in _TRUTH},
    )
    evaluation = Evaluation(
        metric=words['metric'],
        revision=words['revision'],
        truth=truth,
        detections=_detections(truth, arrays),
        values=words['values'],
        per_class={name: arrays[f'class_{i}'] for i, name in enumerate(words['per_class'])},
        curves={
            key: Curves(**{name: arrays[f'curve_{key}_{name}'] for name in _CURVES}, max_dets=tuple(max_dets))
            for key, max_dets in words['curves'].items()
        },
    )
    gallery = [
        GalleryImage(**{**image, 'jpeg': arrays[f'jpeg_{i}'].tobytes()}) for i, image in enumerate(words['gallery'])
    ]
    return Report(Subject(**words['subject']), evaluation, gallery)


def _detections(truth: GroundTruth, arrays: Mapping[str, np.ndarray]) -> Detections:
    counts = None
    if 'found_counts' in arrays:
        data, ends = arrays['found_counts'].tobytes(), offsets_of(arrays['found_count_lengths']).tolist()
        counts = [data[start:end] for start, end in itertools.pairwise(ends)]
    return Detections(
        img_ids=list(truth.img_ids),
        sources=[''] * len(truth),
        counts=counts,
        **{name: arrays[f'found_{name}'] for name in _FOUND},
    )


def _drawn(curves: Curves) -> Curves:
    """The part of the curves that is drawn."""
    return Curves(
        precision=curves.precision[..., :1, -1:],
        recall=curves.recall[..., :1, -1:],
        iou_thrs=curves.iou_thrs,
        max_dets=curves.max_dets[-1:],
    )


def _plain(value: Any) -> Any:
    """What JSON does not know: run lengths as bytes, and numbers of NumPy."""
    return value.decode('ascii') if isinstance(value, bytes) else value.item()
