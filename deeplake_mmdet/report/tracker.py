"""What a report shows, for experiment trackers, which MMEngine knows as backends of the visualizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplake_mmdet.report.figures.picture import Picture
from deeplake_mmdet.report.gallery import read_image
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.worst_images import worst_images

if TYPE_CHECKING:
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset


def send(visualizer: Any, pictures: Iterable[Picture], prefix: str, step: int) -> None:
    """Add the pictures to each tracker.

    Args:
        visualizer: An `mmengine.visualization.Visualizer`. Its local backend is left out: it would write a second copy
            beside the page.
        pictures: The pictures.
        prefix: Put before their names.
        step: Epoch or iteration.
    """
    from mmengine.visualization import LocalVisBackend

    trackers = {
        name: backend for name, backend in visualizer._vis_backends.items() if not isinstance(backend, LocalVisBackend)
    }
    for picture in pictures if trackers else ():
        image = picture.rgb()
        for backend in trackers.values():
            backend.add_image(_name(backend, f'{prefix}/{picture.name}', step), image, step)


def send_predictions(runner: Any, outcome: Outcome, dataset: DeepLakeDataset, limit: int, step: int) -> None:
    """Give the trackers that have tables the images with the most mistakes, and what was annotated and found in them.

    Args:
        runner: The runner; its ``sinks`` take it, see `deeplake_mmdet.lineage.trackers.sink.Sink.predictions`.
        outcome: What is right and wrong.
        dataset: What was evaluated.
        limit: How many images at most.
        step: Epoch or iteration.
    """
    sinks = getattr(runner, 'sinks', ())
    rows = prediction_rows(outcome, dataset, limit) if sinks else []
    for sink in sinks if rows else ():
        sink.predictions(rows, step)


def prediction_rows(outcome: Outcome, dataset: DeepLakeDataset, limit: int) -> list[dict[str, Any]]:
    """The images with the most mistakes, with the detections at the best score threshold; see `Sink.predictions`."""
    truth, detections = outcome.evaluation.truth, outcome.evaluation.detections
    rows = []
    for item in worst_images(outcome, limit):
        row = int(truth.rows[item.image])
        image = read_image(dataset, row)
        if image is None:
            continue
        objects, part = truth.of_image(item.image), detections.of_image(item.image)
        found = part.start + np.flatnonzero(outcome.shown[part])
        rows.append(
            {
                'image': image[..., ::-1],
                'img_id': truth.img_ids[item.image],
                'row': row,
                'gt_boxes': truth.boxes_xyxy[objects],
                'gt_labels': truth.labels[objects],
                'boxes': detections.boxes[found],
                'labels': detections.labels[found],
                'scores': outcome.matching.scores[found],
                'classes': truth.classes,
            }
        )
    return rows


def _name(backend: Any, name: str, step: int) -> str:
    """MLflow takes the name for that of a file: its ending is the format, and it has no step."""
    return f'{name}_{step}.png' if type(backend).__name__ == 'MLflowVisBackend' else name
