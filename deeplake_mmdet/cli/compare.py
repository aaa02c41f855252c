"""``deeplake-mmdet compare A B …``: runs side by side."""

from __future__ import annotations

import argparse
import json

from deeplake_mmdet.errors import LineageError


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet compare',
        description='Show what differs between the data and the configs of runs, and the metrics of all.',
    )
    parser.add_argument('runs', nargs='+', metavar='CHECKPOINT|WORK_DIR', help='two runs or more')
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    return parser


def main(argv: list[str]) -> int:
    """Prints, and returns the exit code."""
    options = build_parser().parse_args(argv)
    if len(options.runs) < 2:
        raise LineageError(f'compare expected two runs or more, but got {options.runs}.')
    from deeplake_mmdet.lineage.comparison import comparison  # --help need not load PyTorch
    from deeplake_mmdet.lineage.reading import read_run
    from deeplake_mmdet.versions.text_table import text_table

    runs = [read_run(path) for path in options.runs]
    names = [run.name for run in runs]
    found = comparison(runs)
    if options.json:
        tables = {title: {row[0]: list(row[1:]) for row in rows} for title, rows in found.items()}
        print(json.dumps({'runs': options.runs, **tables}, indent=1))
        return 0
    for title, rows in found.items():
        print(text_table((title, *names), rows) if rows else f'{title}: no difference')
        print()
    return 0
