"""The columns of per-image results: one table, by which they are computed, written to a file or branch, documented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GROUP = 'model_evaluation'
ERRORS = ('correct', 'missed', 'background', 'localisation', 'class', 'duplicate', 'both', 'not counted')
SUSPICIONS = ('wrong_class', 'missing_box', 'spurious_box', 'badly_placed_box')

# Kinds of values that a row has.
NUMBER, COUNT = 'number', 'count'  # a float32, an int32; None where there is none
NUMBERS, COUNTS = 'numbers', 'counts'  # float32 (n,), int32 (n,)
LABELS, ERROR_KINDS = 'labels', 'errors'  # int32 (n,), positions in the run's classes and in `ERRORS`
BOXES, MASKS = 'boxes', 'masks'  # float32 (n, 4), xyxy; n COCO run lengths, dicts of ``size`` and ``counts``


@dataclass(frozen=True)
class Column:
    """One column of results.

    Attributes:
        kind: Of its values, one of the kinds above.
        means: What it says, with units; stored with the column.
    """

    kind: str
    means: str


COLUMNS: Mapping[str, Column] = {
    'loss': Column(NUMBER, 'sum of all loss terms of the image alone'),
    'iou': Column(NUMBER, 'mean over the labels of the image of the mean best IoU; 0 for a label on one side only'),
    'mean_iou': Column(
        NUMBER, "mean over the image's objects of the IoU with the detection that found each, 0 if none; null without"
    ),
    'ap50': Column(NUMBER, 'average precision at IoU 0.5 of the image alone, mean over its classes; null without'),
    'tp': Column(COUNT, 'detections that found an object'),
    'fp': Column(COUNT, 'detections that found none'),
    'fn': Column(COUNT, 'objects that no detection found'),
    'missed_by_class': Column(COUNTS, 'objects of each class that no detection found'),
    'spurious_by_class': Column(COUNTS, 'detections of each class that found none'),
    'suspicion': Column(
        NUMBER, 'how much speaks against the annotations of the image, 0 to 1; for ranking, no probability'
    ),
    **{
        f'suspicion_{kind}': Column(NUMBER, f'how much speaks for a {kind.replace("_", " ")}, 0 to 1')
        for kind in SUSPICIONS
    },
    'object_loss': Column(NUMBERS, 'loss of the predictions that are assigned to each object; NaN where unknown'),
    'object_iou': Column(NUMBERS, 'largest IoU of each object with a detection of any class'),
    'object_prediction': Column(COUNTS, 'place in `boxes` of the detection that found each object; -1 if none'),
    'object_score': Column(NUMBERS, 'score of that detection; 0 if none'),
    'object_error': Column(ERROR_KINDS, 'what went wrong with each object'),
    'boxes': Column(BOXES, 'detections: left, top, right, bottom in pixels of the original image'),
    'labels': Column(LABELS, 'their classes'),
    'scores': Column(NUMBERS, 'their scores, 0 to 1'),
    'prediction_error': Column(ERROR_KINDS, 'what is wrong with each detection'),
    'prediction_object': Column(COUNTS, "place in the row's annotations of the object that it found; -1 if none"),
    'masks': Column(MASKS, 'their masks, of the size of the original image'),
}


def column(name: str) -> Column:
    """The column of a name; loss terms, such as ``loss_cls``, are named by the detector.

    Raises:
        KeyError: There is none.
    """
    if name not in COLUMNS and 'loss' in name:
        return Column(NUMBER, f'the term {name} of the loss of the image alone')
    return COLUMNS[name]


Values = Mapping[str, list[Any]]  # column to one value a row
