"""``deeplake-mmdet edit DATASET``: rows and objects dropped, objects relabelled, as one commit on a branch."""

from __future__ import annotations

import argparse
import re

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds
from deeplake_mmdet.errors import ConfigError


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet edit',
        description='Drop rows, drop objects and relabel objects, as one commit on a branch. Rows and objects are '
        'numbered from 0, all as they were before the edit. Boxes, labels, masks, areas and all other columns of one '
        'entry an object stay in step. Views that were saved before keep their rows and values.',
    )
    parser.add_argument('dataset', metavar='DATASET', help='folder or URL, with @branch behind it if wanted')
    parser.add_argument('--branch', required=True, metavar='NAME', help='the branch to edit, main included')
    parser.add_argument(
        '--create-branch',
        action='store_true',
        help='make the branch first, from the head of main, of @branch, or from --commit',
    )
    parser.add_argument('--commit', metavar='ID', help='where a new branch starts')
    parser.add_argument('--message', required=True, metavar='TEXT', help='why, for the commit')
    edits = parser.add_argument_group('changes')
    edits.add_argument(
        '--drop-row', nargs='+', action='extend', type=int, default=[], metavar='ROW', help='leave out rows'
    )
    edits.add_argument(
        '--drop-object',
        nargs='+',
        action='extend',
        default=[],
        metavar='ROW:INDEX',
        help='leave out objects of rows, such as 8:2',
    )
    edits.add_argument(
        '--relabel',
        nargs='+',
        action='extend',
        default=[],
        metavar='ROW:INDEX=CLASS',
        help="other classes, such as '3:0=traffic light'",
    )
    columns = parser.add_argument_group('columns, where the data does not say what they hold')
    columns.add_argument(
        '--per-object', nargs='+', action='extend', default=[], metavar='COLUMN', help='they hold one entry an object'
    )
    columns.add_argument(
        '--per-image', nargs='+', action='extend', default=[], metavar='COLUMN', help='they stay as they are'
    )
    columns.add_argument(
        '--tensors', nargs='+', action='extend', default=[], metavar='ROLE=COLUMN', help='such as gt_labels=labels'
    )
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Edits, says what was done, and returns the exit code."""
    options = build_parser().parse_args(argv)
    objects = [_parsed('--drop-object', text, r'(\d+):(\d+)', 'ROW:INDEX, such as 8:2') for text in options.drop_object]
    labels = [
        _parsed('--relabel', text, r'(\d+):(\d+)=(.+)', 'ROW:INDEX=CLASS, such as 3:0=bus') for text in options.relabel
    ]
    roles = [_parsed('--tensors', text, r'(\w+)=(.+)', 'ROLE=COLUMN') for text in options.tensors]
    from deeplake_mmdet.versions import edit  # --help need not load Deep Lake

    with edit(
        options.dataset,
        branch=options.branch,
        message=options.message,
        create_branch=options.create_branch,
        commit=options.commit,
        credentials=read_creds(options.creds),
        tensors={pair[0]: pair[1] for pair in roles},
        per_object=options.per_object,
        per_image=options.per_image,
    ) as dataset:
        for row in options.drop_row:
            dataset.drop_row(row)
        for row, index in objects:
            dataset.drop_object(int(row), int(index))
        for row, index, name in labels:
            dataset.relabel(int(row), int(index), name)
    print('\n'.join([*dataset.done, f'committed as {dataset.revision}: {options.message}']))
    return 0


def _parsed(option: str, text: str, pattern: str, form: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ConfigError(f'{option} expected {form}, but got {text!r}.')
    return found.groups()
