"""Evaluate predictions that ``deeplake-mmdet test --out`` wrote, without the model."""

from __future__ import annotations

import argparse
from typing import Any

from deeplake_mmdet.cli.arguments import add_config_options, load_config


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet evaluate',
        description='Evaluate predictions that `deeplake-mmdet test --out` wrote, on the test data of a config, '
        'without the model. The numbers are those of the test run.',
    )
    parser.add_argument('config', help='config file: its test data and test_evaluator are used')
    parser.add_argument('predictions', metavar='PREDICTIONS.pkl', help='what `test --out` wrote; code in it is not run')
    add_config_options(parser)
    parser.set_defaults(launcher='none', local_rank=0, work_dir=None)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate; returns metric name to value.

    Raises:
        ConfigError: The predictions cannot be read or are not those of the test data, and all that `prepare` refuses.
    """
    from deeplake_mmdet.engine.evaluate import evaluate_predictions
    from deeplake_mmdet.engine.predictions import read_predictions
    from deeplake_mmdet.engine.prepare import prepare

    config, notes = load_config(args)
    predictions = read_predictions(args.predictions)
    config.work_dir = None  # nothing is written
    for note in [*notes, *prepare(config, ('test',), args.cfg_options)]:
        print(note)
    return evaluate_predictions(config, predictions)


def main(argv: list[str] | None = None) -> int:
    metrics = run(parse(argv))
    width = max(map(len, metrics), default=0)
    for name, value in metrics.items():
        print(f'{name:<{width}}  {value:.4f}')
    return 0
