"""``deeplake-mmdet views DATASET``: the saved views, and deleting one."""

from __future__ import annotations

import argparse
import json
import re

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet views',
        description='List the saved views of a dataset, of all its branches. A view keeps its rows and their values '
        'whatever happens to the dataset later; one of "head" instead of a commit runs its query again each time.',
    )
    parser.add_argument('dataset', metavar='DATASET', help='folder or URL')
    parser.add_argument('--delete', metavar='NAME', help='delete this view; its rows stay in the dataset')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Lists or deletes, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.versions import delete_view, list_views  # --help need not load Deep Lake
    from deeplake_mmdet.versions.text_table import text_table

    creds = read_creds(options.creds)
    if options.delete:
        found = delete_view(options.dataset, options.delete, creds)
        print(f'Deleted the view {found.name!r} ({found.rows} rows of {found.version}, {found.query or "all rows"}).')
        return 0
    views = list_views(options.dataset, creds)
    if options.json:
        print(json.dumps([{**vars(view), 'time': view.time.isoformat()} for view in views], indent=1))
    elif not views:
        print(f'{options.dataset} has no saved view. deeplake-mmdet query … --save-view NAME makes one.')
    else:
        rows = [
            (view.name, view.rows, view.version, f'{view.time:%Y-%m-%d %H:%M}', view.message, _shown(view.query))
            for view in views
        ]
        print(text_table(('view', 'rows', 'version', 'saved', 'message', 'query'), rows))
    return 0


def _shown(query: str) -> str:
    """A query without the names of its columns, where it lists them in quotes, as imports do with all of them."""
    return re.sub(r'^select "[^"]+"(, "[^"]+")+ ', 'select … ', query)
