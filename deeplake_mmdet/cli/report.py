"""``deeplake-mmdet report WORK_DIR``: the page of the newest run again, from what its evaluation left in files."""

from __future__ import annotations

import argparse


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet report',
        description='Make the HTML report of the newest run of a work dir again, from its report/evaluation.npz and '
        'its log alone: neither the dataset nor the model is needed. DeepLakeReportHook writes both after each '
        'validation and test.',
    )
    parser.add_argument('work_dir', metavar='WORK_DIR', help='the work dir, or the folder of one run in it')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Writes the pages, prints their paths, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.report.write import rebuild  # --help need not load MMDetection

    for page in rebuild(options.work_dir):
        print(page)
    return 0
