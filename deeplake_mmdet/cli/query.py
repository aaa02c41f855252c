"""``deeplake-mmdet query DATASET TQL``: what a query selects, and the rows saved as a view."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from deeplake_mmdet.cli.source_arguments import add_dataset, dataset_config
from deeplake_mmdet.config.printable import printable
from deeplake_mmdet.errors import ConfigError

if TYPE_CHECKING:
    from deeplake_mmdet.versions import SavedView, Selection
    from deeplake_mmdet.versions.first_rows import RowSummary

_SHOWN = 10  # rows that are listed
_DRAWN = 4  # rows that --show draws


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet query',
        description='Run a query on a version or a saved view: count the selected rows and the objects of each class, '
        'list the first rows, and save the rows as a view. Row numbers are those of the version or view.',
    )
    add_dataset(parser, query=False)
    parser.add_argument(
        'queries',
        nargs='*',
        metavar='TQL',
        help='such as "select * where contains(categories, \'car\')"; several select the rows that any of them '
        'selects, once each, in the order of the dataset; none selects all rows',
    )
    parser.add_argument('--limit', type=int, metavar='N', help='select at most N rows, the first ones of the result')
    parser.add_argument('--save-view', metavar='NAME', help='save the selected rows as a view of this version')
    parser.add_argument('--message', default='', metavar='TEXT', help='why, for the view that is saved')
    parser.add_argument('--show', action='store_true', help=f'draw the first {_DRAWN} rows')
    parser.add_argument(
        '--out', metavar='PATH', help='a folder for the pictures, or a file for one (default: the terminal)'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    return parser


def main(argv: list[str]) -> int:
    """Queries, saves, prints, and returns the exit code."""
    options = build_parser().parse_intermixed_args(argv)
    if options.message and not options.save_view:
        raise ConfigError('query expected --save-view NAME with --message. Name the view that the message is for.')
    if options.show and options.out is None and not sys.stdout.isatty():
        raise ConfigError('query expected --out FOLDER with --show, because the output is no terminal.')
    from deeplake_mmdet.versions import save_view, select  # --help need not load Deep Lake
    from deeplake_mmdet.versions.first_rows import first_rows

    selection = select(dataset_config(options), options.queries, limit=options.limit, to_save=bool(options.save_view))
    rows = first_rows(selection, _SHOWN)
    if not options.json:
        notes = printable(''.join(f'note: {remark}\n' for remark in selection.remarks))
        print(f'{_said(selection)}\n{notes}\n{_class_table(selection)}\n\n{_row_table(selection, rows)}')
    saved = save_view(selection, options.save_view, options.message) if options.save_view else None
    if options.json:
        print(json.dumps(_as_json(selection, rows, saved), indent=1))
    elif saved is not None:
        print(f'\n{_said_of_view(selection, saved)}')
    if options.show:
        _show(selection, options.out)
    return 0


def _said(selection: Selection) -> str:
    revision, count = selection.source.revision, len(selection.source)
    view = f', view {revision.view_id!r}' if revision.view_id else ''
    selected = f'{len(selection)} of {count} rows ({100 * len(selection) / max(count, 1):.1f} %)'
    return f'{revision.uri} @ {revision.branch}:{revision.commit_id}{view}\n{selected} are selected.'


def _class_table(selection: Selection) -> str:
    from deeplake_mmdet.versions.text_table import text_table

    if selection.labels is None:
        return 'No column of class labels is known; name one with --tensors gt_labels=COLUMN to count the classes.'
    rows = [
        (count.name, count.images, count.objects, 100 * count.objects / count.of_all if count.of_all else None)
        for count in selection.classes
    ]
    total, everything = sum(row[2] for row in rows), sum(count.of_all for count in selection.classes)
    rows.append(('all', len(selection), total, 100 * total / everything if everything else None))
    return text_table(('class', 'images', 'objects', '% of all objects'), rows)


def _row_table(selection: Selection, rows: list[RowSummary]) -> str:
    from deeplake_mmdet.versions.text_table import text_table

    lines = [(row.row, row.file_name, row.size, row.objects or 'nothing') for row in rows]
    more = len(selection) - len(rows)
    table = text_table(('row', 'file name', 'size', 'objects'), lines)
    return f'{table}\n… and {more} more' if more else table


def _said_of_view(selection: Selection, saved: SavedView) -> str:
    return (
        f'Saved as view {saved.name!r} of {saved.version}; opened again, it has the same {saved.rows} rows in the same '
        f'order.\nTrain on it with deeplake_path={selection.source.revision.uri!r}, deeplake_view_id={saved.name!r}.'
    )


def _as_json(selection: Selection, rows: list[RowSummary], saved: SavedView | None) -> dict[str, object]:
    return {
        'dataset': selection.source.revision.to_strings(),
        'queries': list(selection.queries),
        'rows': len(selection),
        'of_rows': len(selection.source),
        'classes': [vars(count) for count in selection.classes],
        'first_rows': [vars(row) for row in rows],
        'view': saved and saved.name,
        'remarks': list(selection.remarks),
    }


def _show(selection: Selection, out: str | None) -> None:
    from deeplake_mmdet.inspection.show import show_rows

    for file in show_rows(selection.config, selection.positions[:_DRAWN].tolist(), out):
        print(file)
