"""``deeplake-mmdet branches DATASET``: the branches, what they were made from, and their newest commits."""

from __future__ import annotations

import argparse
import json

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet branches',
        description='List the branches of a dataset: the branch and commit that each was made from, its newest commit, '
        'and the rows of that.',
    )
    parser.add_argument('dataset', metavar='DATASET', help='folder or URL')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Lists, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.versions import list_branches  # --help need not load Deep Lake
    from deeplake_mmdet.versions.text_table import text_table

    branches = list_branches(options.dataset, read_creds(options.creds))
    if options.json:
        print(json.dumps([{**vars(branch), 'time': branch.time.isoformat()} for branch in branches], indent=1))
        return 0
    rows = [
        (
            branch.name,
            branch.base or None,
            branch.commit_id,
            branch.rows,
            f'{branch.time:%Y-%m-%d %H:%M}',
            branch.message,
        )
        for branch in branches
    ]
    print(text_table(('branch', 'made from', 'newest commit', 'rows', 'when', 'message'), rows))
    return 0
