"""``deeplake-mmdet diff A B``: what differs between two versions."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds
from deeplake_mmdet.errors import DeepLakeMMDetError

if TYPE_CHECKING:
    from deeplake_mmdet.versions import Difference

_SHOWN = 20  # rows that are listed of each kind


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet diff',
        description='Say which columns, metadata, rows and objects differ between two versions or views. The exit code '
        'is 0 if nothing differs, 1 if something does, and 2 for an error.',
    )
    for name in ('a', 'b'):
        parser.add_argument(name, metavar=name.upper(), help='folder or URL, with @branch or @view behind it if wanted')
    for name in ('a', 'b'):
        parser.add_argument(f'--commit-{name}', metavar='ID', help=f'commit of {name.upper()} (default: the head)')
    parser.add_argument(
        '--key',
        metavar='COLUMN',
        help="the column by which rows are recognised, or 'position' (default: img_id or file_name where no value is "
        'there twice, else the position)',
    )
    parser.add_argument(
        '--without',
        nargs='+',
        action='extend',
        default=[],
        metavar='COLUMN',
        help='columns that are not compared, such as images',
    )
    parser.add_argument('--json', action='store_true', help='print JSON, with all rows')
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Compares, prints, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.cli.main import message_of
    from deeplake_mmdet.versions import diff  # --help need not load Deep Lake

    try:
        creds = read_creds(options.creds)
        configs = [
            {'deeplake_path': path, 'deeplake_commit_id': commit, 'deeplake_credentials': creds}
            for path, commit in ((options.a, options.commit_a), (options.b, options.commit_b))
        ]
        found = diff(*configs, key=options.key, without=options.without)
    except DeepLakeMMDetError as error:  # 1 would say that the versions differ
        print(f'{type(error).__name__}: {message_of(error)}', file=sys.stderr)
        if isinstance(error, TimeoutError):  # Deep Lake is still waiting, and would crash the interpreter at its end
            sys.stderr.flush()
            os._exit(2)
        return 2
    print(json.dumps(_as_json(found), indent=1, default=str) if options.json else '\n'.join(_lines(found)))
    return 1 if found else 0


def _lines(found: Difference) -> list[str]:
    lines = [f'a: {found.a}', f'b: {found.b}', f'Rows are the same where {_said_key(found.key)} is the same.']
    if found.left_out:
        lines.append(f'Not compared: {", ".join(found.left_out)}.')
    lines += ['', *_schema(found)]
    counts = {'added': found.added, 'removed': found.removed, 'changed': found.changed}
    lines.append(f'rows: {", ".join(f"{len(rows)} {kind}" for kind, rows in counts.items())}, {found.equal} equal')
    lines += ['the common rows stand in another order'] if found.is_reordered else []
    lines += _cut([f'  + {_named(found.key, key)}row {row} of b' for key, row in found.added])
    lines += _cut([f'  - {_named(found.key, key)}row {row} of a' for key, row in found.removed])
    lines += _cut([f'  ~ {_named(found.key, item.key)}{_change(item)}' for item in found.changed])
    totals = Counter(column for item in found.changed for column in item.columns)
    if totals:
        lines.append(f'changed rows by column: {", ".join(f"{name} {count}" for name, count in totals.most_common())}')
        lines.append(f'objects: {_object_totals(found)}')
    return lines if found else [*lines, 'nothing differs']


def _said_key(key: str) -> str:
    return 'the position' if key == 'position' else f'{key!r}'


def _named(key: str, value: Any) -> str:
    return '' if key == 'position' else f'{key} {value}, '


def _schema(found: Difference) -> list[str]:
    lines = [f'column + {name!r} ({kind})' for name, kind in found.added_columns.items()]
    lines += [f'column - {name!r} ({kind})' for name, kind in found.removed_columns.items()]
    lines += [f'column ~ {name!r}: {a} → {b}; not compared' for name, (a, b) in found.retyped_columns.items()]
    return lines + [f'metadata ~ {name}: {_short(a)} → {_short(b)}' for name, (a, b) in found.metadata.items()]


def _short(value: Any) -> str:
    text = 'nothing' if value is None else repr(value)
    return text if len(text) <= 100 else f'{text[:99]}…'


def _change(item: Any) -> str:
    rows = f'row {item.row_a}' if item.row_a == item.row_b else f'row {item.row_a} of a, {item.row_b} of b'
    objects = f' (objects: {item.objects})' if str(item.objects) else ''
    return f'{rows}: {", ".join(item.columns)}{objects}'


def _object_totals(found: Difference) -> str:
    kinds = {kind: sum(getattr(item.objects, kind) for item in found.changed) for kind in ('added', 'dropped', 'moved')}
    kinds['relabelled'] = sum(len(item.objects.relabelled) for item in found.changed)
    return ', '.join(f'{count} {kind}' for kind, count in kinds.items())


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], f'    … and {more} more'] if more > 0 else lines


def _as_json(found: Difference) -> dict[str, Any]:
    changed = [{**vars(item), 'objects': vars(item.objects)} for item in found.changed]
    return {**vars(found), 'changed': changed, 'differs': bool(found)}
