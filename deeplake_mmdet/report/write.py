"""Writing a report, and making its page again from what was written."""

from __future__ import annotations

import os
from pathlib import Path

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.report.archive import FILE, Report, load, save
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.page import Page
from deeplake_mmdet.report.training_log import TrainingLog

FOLDER, PAGE = 'report', 'index.html'


def folder_of(run: Path | str, number: int = 1) -> Path:
    """Where the report of a run goes: ``<run>/report``, of its second metric ``<run>/report_2``."""
    return Path(run, FOLDER if number == 1 else f'{FOLDER}_{number}')


def write_report(report: Report, outcome: Outcome, folder: Path) -> Page:
    """Write the data and the page of a report; each file is whole or as it was before.

    Args:
        report: What it is about.
        outcome: What is right and wrong in its evaluation.
        folder: See `folder_of`; made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save(report, folder)
    return write_page(report, outcome, folder)


def write_page(report: Report, outcome: Outcome, folder: Path) -> Page:
    """Write the page alone."""
    page = Page(report, outcome, TrainingLog.read(folder.parent))
    unfinished = folder / f'{PAGE}.part'
    unfinished.write_text(page.html(), encoding='utf-8')
    os.replace(unfinished, folder / PAGE)
    return page


def rebuild(work_dir: Path | str) -> list[Path]:
    """Make the pages of the newest run again from its data alone.

    Args:
        work_dir: The work dir of some runs, or the folder of one run.

    Returns:
        The pages that were written.

    Raises:
        ConfigError: There is no data, or it is damaged.
    """
    if not Path(work_dir).is_dir():
        raise ConfigError(f'The work dir {str(work_dir)!r} does not exist.')
    files = [file for depth in ('', '*/') for file in Path(work_dir).glob(f'{depth}{FOLDER}*/{FILE}')]
    if not files:
        raise ConfigError(
            f'The work dir {str(work_dir)!r} expected {FILE} in <timestamp>/{FOLDER}, but holds none. Evaluate with '
            "custom_hooks = [dict(type='DeepLakeReportHook')] and a DeepLakeCocoMetric or DeepLakeVOCMetric in the "
            'config: deeplake-mmdet test CONFIG CHECKPOINT --work-dir WORK_DIR.'
        )
    newest = max(files, key=lambda file: file.stat().st_mtime).parent.parent
    written = []
    for file in sorted(file for file in files if file.parent.parent == newest):
        report = load(file)
        write_page(report, Outcome.of(report.evaluation), file.parent)
        written.append(file.parent / PAGE)
    return written
