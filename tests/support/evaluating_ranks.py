"""What every process of a distributed evaluation runs: ``python -m tests.support.evaluating_ranks RANK FOLDER``.

Importing MMDetection takes seconds, so the same processes make up groups of two, three and four, one after the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from mmdet.datasets import ConcatDataset
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.dataset import DefaultSampler
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from deeplake_mmdet import DeepLakeCocoMetric, DeepLakeDataset, DeepLakeVOCMetric
from deeplake_mmdet.metrics.detection_metric import DetectionMetric
from tests.support.predicted import predict

ROWS = 33
PROCESSES = 4
ROUND_UP = (True, False)
BATCH_SIZES = (1, 2, 3)


def metrics(**options: Any) -> list[DetectionMetric]:
    """One of each kind."""
    return [
        DeepLakeCocoMetric(iou_thrs=[0.5, 0.75], metric_items=['mAP', 'mAP_50'], backend='pycocotools', **options),
        DeepLakeVOCMetric(metric=['mAP', 'recall'], iou_thrs=[0.5, 0.6], proposal_nums=(1, 5), **options),
    ]


def first_images(path: str, number: int) -> DeepLakeDataset:
    """The first few images of a dataset."""
    return DeepLakeDataset(deeplake_path=path, indices=number, test_mode=True)


def predictions(dataset: DeepLakeDataset) -> list[dict[str, Any]]:
    """Detections of every image, with masks: what the ranks predict of an image is the same."""
    found = predict(dataset)
    for sample in found:
        boxes = sample['pred_instances'].bboxes
        masks = torch.zeros((len(boxes), 8, 8), dtype=torch.bool)
        for mask, number in zip(masks, (boxes.sum(dim=1) % 7).int().tolist(), strict=True):
            mask[number] = True
        sample['pred_instances'].masks = masks
    return found


def outcome(metric: DetectionMetric, values: Mapping[str, float]) -> dict[str, Any]:
    """Values, and what was measured where it was measured: ids of the images, and a hash of their detections."""
    evaluation = metric.evaluation
    if evaluation is None:
        return {'values': values}
    state, found = hashlib.sha256(), evaluation.detections
    for array in (found.offsets, found.boxes, found.scores, found.labels, found.mask_scores, found.sizes):
        state.update(np.ascontiguousarray(array).data)
    state.update(repr(found.counts).encode())
    ids = [evaluation.truth.img_ids, found.img_ids]
    return {'values': values, 'img_ids': ids, 'detections': state.hexdigest()}


@contextmanager
def group(rank: int, world_size: int, store: Path) -> Iterator[None]:
    """A process group of its own."""
    limit = timedelta(seconds=100)
    dist.init_process_group('gloo', f'file://{store}', limit, world_size, rank)
    try:
        yield
    finally:
        dist.destroy_process_group()


def evaluate(
    dataset: DeepLakeDataset, found: list[dict[str, Any]], *, round_up: bool, batch_size: int, **options: Any
) -> list[dict[str, Any]]:
    """Evaluate this rank's share of a dataset.

    Args:
        dataset: The dataset.
        found: Detections of all its images.
        round_up: Whether the sampler gives all ranks equally many images, some of them twice.
        batch_size: Of the loader.
        **options: Of the metrics.
    """
    sampler = dict(type='DefaultSampler', shuffle=False, round_up=round_up)
    places = dict(dataset=range(len(dataset)), sampler=sampler, collate_fn=dict(type=list), num_workers=0)
    loader = Runner.build_dataloader({**places, 'batch_size': batch_size}, seed=0)
    outcomes = []
    both = metrics(**options)
    for batch in loader:
        for metric in both:
            metric.process({}, [found[place] for place in batch])
    for metric in both:
        metric.dataset_meta = dataset.metainfo
        outcomes.append(outcome(metric, metric.evaluate(len(dataset))))
    return outcomes


def all_sizes(rank: int, folder: Path) -> dict[str, Any]:
    """Outcomes of every number of images, number of ranks and way of loading."""
    datasets = [first_images(str(folder / 'ds'), number) for number in range(1, ROWS + 1)]
    found = predictions(datasets[-1])
    outcomes = {}
    for world_size in range(rank + 1, PROCESSES + 1):
        with group(rank, world_size, folder / f'sizes{world_size}'):
            for dataset, round_up, batch_size in product(datasets, ROUND_UP, BATCH_SIZES):
                key = f'{world_size} ranks, {len(dataset)} images, {round_up=}, {batch_size=}'
                outcomes[key] = evaluate(dataset, found, round_up=round_up, batch_size=batch_size)
    return outcomes


def through_files(rank: int, folder: Path) -> dict[str, Any]:
    """Outcomes when detections are gathered through a folder."""
    outcomes = {}
    with group(rank, PROCESSES, folder / 'files'):
        for number in (1, PROCESSES + 1, ROWS):
            dataset = first_images(str(folder / 'ds'), number)
            options = dict(round_up=number == ROWS, batch_size=2, collect_dir=str(folder / 'collected'))
            outcomes[str(number)] = evaluate(dataset, predictions(dataset), **options)
    return outcomes


def several_datasets(rank: int, folder: Path) -> dict[str, Any]:
    """Numbers of two datasets behind one another."""
    datasets = [first_images(str(folder / 'ds'), 5), first_images(str(folder / 'other'), 4)]
    both = ConcatDataset(datasets)
    found = [sample for dataset in datasets for sample in predictions(dataset)]
    evaluator = MultiDatasetsEvaluator([DeepLakeVOCMetric(), DeepLakeVOCMetric()], dataset_prefixes=['one', 'two'])
    with group(rank, 2, folder / 'several'):
        for place in DefaultSampler(both, shuffle=False):
            evaluator.process([found[place]])
        evaluator.dataset_meta = both.metainfo
        return evaluator.evaluate(len(both))


# What the second of two ranks predicts of four images, wrongly; the first predicts the first and the third.
MISTAKES = {'an image is missing': [1], 'an image comes twice': [1, 3, 3], 'all images': [0, 1, 2, 3]}


def refusals(rank: int, folder: Path) -> dict[str, str]:
    """The errors of evaluations in which ranks did not predict every image once."""
    dataset = first_images(str(folder / 'ds'), 4)
    found, errors = predictions(dataset), {}
    for number, (mistake, places) in enumerate(MISTAKES.items()):
        metric = DeepLakeVOCMetric()
        metric.dataset_meta = dataset.metainfo
        with group(rank, 2, folder / f'mistake{number}'):
            try:
                metric.process({}, [found[place] for place in (places if rank else [0, 2])])
                errors[mistake] = f'no error: {metric.evaluate(len(dataset))}'
            except Exception as error:
                errors[mistake] = f'{type(error).__name__}: {error}'
    with group(rank, 2, folder / 'mistake_label'):
        metric = DeepLakeVOCMetric()
        metric.dataset_meta = dataset.metainfo
        wrong = found[1]['pred_instances'].clone()
        wrong.labels = wrong.labels + 7
        metric.process({}, [dict(found[1], pred_instances=wrong), found[3]] if rank else [found[0], found[2]])
        try:
            errors['a label'] = f'no error: {metric.evaluate(len(dataset))}'
        except Exception as error:
            errors['a label'] = f'{type(error).__name__}: {error}'
    return errors


def main(rank: int, folder: Path) -> None:
    """Run all, and write down the outcomes."""
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')
    os.chdir(folder)  # MMEngine gathers through a folder in the working directory
    done = {run.__name__: run(rank, folder) for run in (all_sizes, through_files)}
    if rank < 2:
        done |= {run.__name__: run(rank, folder) for run in (several_datasets, refusals)}
    (folder / f'rank{rank}.json').write_text(json.dumps(done))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of Deep Lake and gloo can abort a process that ends in the usual way


if __name__ == '__main__':
    main(int(sys.argv[1]), Path(sys.argv[2]))
