"""The report of what a metric measured last, while its dataset is open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeplake_mmdet.metrics.evaluated_dataset import evaluated_dataset
from deeplake_mmdet.report.archive import Report
from deeplake_mmdet.report.gallery import draw_gallery
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.page import Page
from deeplake_mmdet.report.subject import Subject
from deeplake_mmdet.report.write import write_report


def report_metric(metric: Any, outcome: Outcome, subject: Subject, folder: Path, *, images: int = 12) -> Page:
    """Write the data and the page of a report.

    Args:
        metric: A metric of ours with an ``evaluation``.
        outcome: What is right and wrong of it.
        subject: What was evaluated.
        folder: Where both go; made if missing.
        images: How many of the worst images are shown.

    Raises:
        ConfigError: The evaluated dataset is no longer open.
    """
    gallery = draw_gallery(outcome, evaluated_dataset(metric), images)
    return write_report(Report(subject, metric.evaluation, gallery), outcome, folder)
