"""``deeplake-mmdet stats DATASET``: how classes, box sizes, aspects and image sizes are distributed."""

from __future__ import annotations

import argparse
import json

from deeplake_mmdet.cli.source_arguments import add_dataset, dataset_config


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet stats',
        description='Count the objects and images of each class, and say how box sizes, aspects and image sizes are '
        'distributed. No image is read.',
    )
    add_dataset(parser)
    parser.add_argument('--out', metavar='FILE', help='draw the distributions too: a .png, .svg or .pdf file')
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    return parser


def main(argv: list[str]) -> int:
    """Prints the tables, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.inspection.stats import Statistics  # --help need not load Deep Lake

    statistics = Statistics.of(dataset_config(options))
    if options.out:
        from deeplake_mmdet.inspection.stats_figure import save_figure

        save_figure(statistics, options.out)
    print(json.dumps(statistics.to_json(), indent=1) if options.json else statistics.table())
    if options.out and not options.json:
        print(f'\n{options.out}')
    return 0
