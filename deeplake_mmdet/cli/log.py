"""``deeplake-mmdet log DATASET``: the commits of a branch, the newest first."""

from __future__ import annotations

import argparse
import json

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet log',
        description='List the commits of a branch, the newest first. The ids are those of deeplake_commit_id and '
        '--commit, together with the branch: other branches have commits of the same ids.',
    )
    parser.add_argument('dataset', metavar='DATASET', help='folder or URL, with @branch behind it if wanted')
    parser.add_argument('--branch', help='branch to list (default: main)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Lists, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.versions import list_commits  # --help need not load Deep Lake
    from deeplake_mmdet.versions.text_table import text_table

    commits = list_commits(options.dataset, options.branch, read_creds(options.creds))
    if options.json:
        print(json.dumps([{**vars(commit), 'time': commit.time.isoformat()} for commit in commits], indent=1))
        return 0
    rows = [(commit.id, commit.time.strftime('%Y-%m-%d %H:%M'), commit.message, commit.changes) for commit in commits]
    print(text_table(('commit', 'when', 'message', 'changes'), rows))
    return 0
