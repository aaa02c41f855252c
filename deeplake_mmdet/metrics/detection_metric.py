"""What our metrics share: compact predictions, gathered from all ranks, every image counted once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset, identity
from deeplake_mmdet.errors import ConfigError, DeepLakeMMDetError
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.evaluated_dataset import (
    check_images_are_its_own,
    evaluated_dataset,
    images_of,
    own_metainfo,
)
from deeplake_mmdet.metrics.evaluation import Evaluation
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.patient_group import gather, tell


class DetectionMetric(BaseMetric):
    """A metric of detections against the annotations of the evaluated `DeepLakeDataset`.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, for configs of MMDetection's metrics. Predictions travel by gloo either
            way, unless `collect_dir` is given.
        prefix: Put before the names of the metrics.
        collect_dir: A folder that all machines see, through which predictions are gathered instead.

    Attributes:
        evaluation: What was measured last; None before, and on all ranks but the first.
    """

    needs_masks = False
    dataset_meta: Any  # a property of the base class

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None, collect_dir: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.evaluation: Evaluation | None = None
        self._truth: tuple[Any, GroundTruth] | None = None

    @abstractmethod
    def measure(self, truth: GroundTruth, detections: Detections) -> Evaluation:
        """Evaluate the detections of images that all are of the evaluated dataset.

        Args:
            truth: The annotations of N images.
            detections: The detections of the same images, in the same order.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the detections of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``img_id``, ``img_path`` and ``pred_instances``; see `Detections.of_sample`.

        Raises:
            AnnotationError: A score or a box is no finite number.
        """
        self.results += [Detections.of_sample(sample) for sample in data_samples]

    def evaluate(self, size: int) -> dict[str, float]:
        """Evaluate what all ranks processed.

        Args:
            size: Number of images of the evaluated dataset.

        Returns:
            Metric name to value, on every rank.

        Raises:
            ConfigError: The predictions are not one for each image of the evaluated dataset, or the ranks cannot gather
                them in `collect_dir`.
        """
        own = Detections.join(self.results)
        self.results.clear()
        gathered = gather(own, self.collect_dir)
        measured: Any = None
        if gathered is not None:
            try:
                for part in gathered:
                    self._checked(part)
                detections = once(gathered, size, type(self).__name__, ranks=len(gathered))
                measured = self._named(self._compute(detections))
            except Exception as error:
                ours = isinstance(error, DeepLakeMMDetError)
                tell(error if ours else RuntimeError(f'The first rank: {error!r}'))  # the others would wait for ever
                raise
        told = tell(measured)
        if isinstance(told, Exception):
            raise told
        values: dict[str, float] = told
        return values

    def compute_metrics(self, results: list[Detections]) -> dict[str, float]:
        """Evaluate the predictions of all images; what evaluators of several datasets call.

        Args:
            results: The detections of each image, of all ranks.

        Raises:
            ConfigError: The predictions are not one for each image of one of the evaluated datasets.
        """
        sizes = np.diff([0, *(self.dataset_meta or {}).get('cumulative_sizes', [len(results)])]).tolist()
        if len(results) not in sizes:
            raise ConfigError(
                f'{type(self).__name__} expected predictions for all images of one of the datasets, whose numbers are '
                f'{sizes}, but got {len(results)}. Evaluate all of them; there must be no num_batch_per_epoch.'
            )
        joined = Detections.join(results)
        self.dataset_meta = own_metainfo(self, joined.sources)
        detections = self._checked(joined)
        return self._compute(once([detections], len(results), type(self).__name__, ranks=1))

    def _checked(self, detections: Detections) -> Detections:
        dataset = evaluated_dataset(self)
        check_images_are_its_own(self, dataset, detections.sources)
        _check_labels(detections, dataset.index.classes)
        return detections

    def _named(self, values: dict[str, float]) -> dict[str, float]:
        return {f'{self.prefix}/{name}' if self.prefix else name: value for name, value in values.items()}

    def _compute(self, detections: Detections) -> dict[str, float]:
        dataset = evaluated_dataset(self)
        images = images_of(self, dataset, detections.img_ids)
        truth = self._truth_of(dataset, images)
        place = {img_id: i for i, img_id in enumerate(detections.img_ids)}
        self.evaluation = self.measure(truth, detections.take([place[img_id] for img_id in truth.img_ids]))
        return dict(self.evaluation.values)

    def _truth_of(self, dataset: DeepLakeDataset, images: Sequence[int]) -> GroundTruth:
        """The annotations of some images; built anew only for another dataset or other images."""
        known = (identity(dataset.metainfo['deeplake']), sorted(images))
        if self._truth is None or self._truth[0] != known:
            self._truth = (known, GroundTruth.of_dataset(dataset, images, masks=self.needs_masks))
        return self._truth[1]


def once(parts: Sequence[Detections], size: int, metric: str, *, ranks: int) -> Detections:
    """The detections of every image once.

    Samplers give some images to two ranks so that all have equally many; what is surplus by that is dropped.

    Args:
        parts: Detections of each process.
        size: Number of images of the evaluated dataset.
        metric: Name of the metric, for messages.
        ranks: Number of processes that predicted.

    Raises:
        ConfigError: Images were predicted more often than that, or not at all.
    """
    joined = Detections.join(parts)
    first: dict[Any, int] = {}
    for place, img_id in enumerate(joined.img_ids):
        first.setdefault(img_id, place)
    twice = any(len(set(part.img_ids)) < len(part) for part in parts)
    if twice or len(joined) - len(first) >= ranks:
        raise ConfigError(
            f'{metric} got several predictions for one image: {len(joined)} predictions for {len(first)} images. It '
            'evaluates one dataset, every image once: use MultiDatasetsEvaluator for several datasets, and no '
            'RepeatDataset.'
        )
    if len(first) != size:
        raise ConfigError(
            f'{metric} expected predictions for the {size} images of the evaluated dataset, but got {len(first)}. To '
            'evaluate a part of it, give the dataset indices=…, a query or a view, and no num_batch_per_epoch.'
        )
    return joined if len(first) == len(joined) else joined.take(list(first.values()))


def _check_labels(detections: Detections, classes: Sequence[str]) -> None:
    wrong = np.flatnonzero((detections.labels < 0) | (detections.labels >= len(classes)))
    if len(wrong):
        image = detections.img_ids[int(detections.image_of[wrong[0]])]
        raise ConfigError(
            f'The predictions of the image with img_id {image!r} expected labels from 0 to {len(classes) - 1}, one for '
            f'each of the {len(classes)} classes of the evaluated dataset, but got {int(detections.labels[wrong[0]])}. '
            "Set num_classes of the model's heads to the number of classes."
        )
