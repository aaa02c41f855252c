"""``deeplake-mmdet show DATASET ROW…``: rows drawn with their boxes and masks."""

from __future__ import annotations

import argparse
import sys

from deeplake_mmdet.cli.source_arguments import add_dataset, dataset_config
from deeplake_mmdet.errors import ConfigError


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet show',
        description='Draw rows with their boxes, class names and masks, and list their objects. Dashed boxes are those '
        'that training ignores: crowd regions, difficult and unusable ones.',
    )
    add_dataset(parser)
    parser.add_argument('rows', nargs='+', type=int, metavar='ROW', help='row numbers from 0, of the view or query')
    parser.add_argument(
        '--out',
        metavar='PATH',
        help='a file for one row, such as row.png, or a folder (default: draw into the terminal)',
    )
    parser.add_argument('--no-masks', action='store_true', help='draw boxes only')
    return parser


def main(argv: list[str]) -> int:
    """Draws, and returns the exit code."""
    options = build_parser().parse_intermixed_args(argv)
    if options.out is None and not sys.stdout.isatty():
        raise ConfigError('show expected --out PATH, because the output is no terminal. Name a file or a folder.')
    from deeplake_mmdet.inspection.show import show_rows  # --help need not load Deep Lake

    for file in show_rows(dataset_config(options), options.rows, options.out, masks=not options.no_masks):
        print(file)
    return 0
