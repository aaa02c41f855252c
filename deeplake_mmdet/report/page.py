"""The page: a template filled with texts, tables and pictures, all in one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplake_mmdet.report.archive import Report
from deeplake_mmdet.report.confusion import confusion_matrix, frequent_confusions, most_confused
from deeplake_mmdet.report.drawing import COLOURS
from deeplake_mmdet.report.figures.confusion import confusion_picture
from deeplake_mmdet.report.figures.histograms import score_picture, size_picture
from deeplake_mmdet.report.figures.picture import Picture, data_uri
from deeplake_mmdet.report.figures.precision_recall import precision_recall_picture
from deeplake_mmdet.report.figures.thresholds import threshold_picture
from deeplake_mmdet.report.figures.training import training_pictures
from deeplake_mmdet.report.outcome import IOU, Outcome
from deeplake_mmdet.report.precision_recall import precision_recall
from deeplake_mmdet.report.tables import NOTHING, class_table, metric_table, number
from deeplake_mmdet.report.training_log import TrainingLog

_MAIN = ('bbox_mAP', 'segm_mAP', 'bbox_mAP_50', 'segm_mAP_50', 'mAP')  # values for the top of the page


class Page:
    """One report with its pictures.

    Args:
        report: What it is about.
        outcome: What is right and wrong in its evaluation.
        log: The course of the training.
    """

    def __init__(self, report: Report, outcome: Outcome, log: TrainingLog) -> None:
        self._report = report
        self._outcome = outcome
        self._matrix = confusion_matrix(self._outcome)
        self._confusion = most_confused(self._matrix, outcome.evaluation.truth.classes)
        self._sections = {
            'curves': [
                *(precision_recall_picture(curves) for curves in precision_recall(self._outcome)),
                threshold_picture(self._outcome),
            ],
            'confusion': [confusion_picture(self._confusion)],
            'histograms': [size_picture(self._outcome), score_picture(self._outcome)],
            'training': training_pictures(log),
        }

    @property
    def pictures(self) -> list[Picture]:
        """All figures, in their order on the page."""
        return [picture for section in self._sections.values() for picture in section]

    def html(self) -> str:
        """The page."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader('deeplake_mmdet.report'),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters['data_uri'] = data_uri
        return environment.get_template('page.html').render(**self._facts())

    def _facts(self) -> dict[str, Any]:
        evaluation, outcome = self._outcome.evaluation, self._outcome
        classes = evaluation.truth.classes
        return {
            'subject': self._report.subject,
            'metric': evaluation.metric,
            'revision': _told(evaluation.revision),
            'cards': self._cards(),
            'metrics': metric_table(evaluation.values),
            'classes': class_table(outcome),
            'sections': self._sections,
            'confusion': self._confusion,
            'frequent': frequent_confusions(self._matrix, classes),
            'gallery': self._report.gallery,
            'colours': COLOURS,
            'threshold': f'{outcome.threshold:.3f}' if outcome.curve.best is not None else None,
            'compared': 'masks' if outcome.masks else 'boxes',
            'iou': IOU,
            'apart': int(np.sum(~outcome.matching.counted)),
            'kinds': self._kinds(),
            'rows_of': _rows_of(evaluation.revision),
        }

    def _cards(self) -> Sequence[tuple[str, str]]:
        """The few numbers that everybody looks for."""
        evaluation, curve = self._outcome.evaluation, self._outcome.curve
        main = [name for name in evaluation.values if name.rpartition('/')[2] in _MAIN] or list(evaluation.values)[:2]
        cards = [(name.replace('_', ' '), number(evaluation.values[name])) for name in main]
        best = ('best F1', NOTHING)
        if curve.best is not None:
            best = (f'best F1, at score {curve.threshold:.3f}', f'{curve.f1[curve.best]:.3f}')
        return [
            *cards,
            best,
            ('images', str(len(evaluation.truth))),
            ('objects', str(len(evaluation.truth.labels))),
            ('detections', str(len(evaluation.detections.labels))),
        ]

    def _kinds(self) -> dict[str, int]:
        """How much is right and wrong over all images at the best threshold."""
        outcome = self._outcome
        confused = int(np.sum(outcome.taken_for >= 0))
        return {
            'right': int(outcome.right.sum()),
            'wrong class': confused,
            'false': int(outcome.wrong.sum()) - confused,
            'missed': int(outcome.missed.sum()) - confused,
        }


def _rows_of(revision: Any) -> str:
    """What row numbers count: a saved view counts its own rows."""
    view = revision.get('view_id')
    return f'row numbers are those of the view “{view}”' if view else 'row numbers are those of the dataset'


def _told(revision: Any) -> list[tuple[str, str]]:
    """What was read, without what is empty."""
    names = {'uri': 'dataset', 'commit_id': 'commit', 'view_id': 'view', 'dataset_id': 'dataset id', 'format': 'format'}
    order = ('uri', 'branch', 'commit_id', 'view_id', 'query', 'rows', 'digest', 'dataset_id', 'format')
    keys = [*(key for key in order if key in revision), *(key for key in revision if key not in order)]
    return [(names.get(key, key), str(revision[key])) for key in keys if revision[key]]
