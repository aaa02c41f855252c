"""Train a detector from a config; the arguments are those of MMDetection's ``tools/train.py``."""

from __future__ import annotations

import argparse
from typing import Any

from deeplake_mmdet.cli.arguments import add_common, load_config
from deeplake_mmdet.engine.elastic import go_on
from deeplake_mmdet.engine.join import end_rank, join
from deeplake_mmdet.engine.preemption import EXIT_CODE, Preempted
from deeplake_mmdet.engine.prepare import leave_out_validation, prepare
from deeplake_mmdet.engine.runner import build_runner
from deeplake_mmdet.errors import ConfigError


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='deeplake-mmdet train', description='Train a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a value, from the latest one in the work dir',
    )
    parser.add_argument(
        '--resume-anyway', action='store_true', help='resume although the data are not those of the checkpoint'
    )
    parser.add_argument('--no-validate', action='store_true', help='train without validation')
    add_common(parser)
    return parser.parse_args(argv)


def apply_arguments(config: Any, args: argparse.Namespace) -> None:
    """Write the arguments of training into the config.

    Raises:
        ConfigError: ``--auto-scale-lr`` with a config that does not say what it was tuned for.
    """
    config.trust_checkpoint = args.trust_checkpoint
    if args.amp:
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
            raise ConfigError(
                '--auto-scale-lr expected auto_scale_lr=dict(base_batch_size=…) in the config, but got '
                f'{config.get("auto_scale_lr")!r}. Add the batch size that its learning rate is meant for.'
            )
        config.auto_scale_lr.enable = True
    if args.resume:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
        config.resume_anyway = args.resume_anyway


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    config, notes = load_config(args)
    splits: tuple[str, ...] = ('train', 'val')
    options = args.cfg_options or {}
    if args.no_validate:
        leave_out_validation(config)
        splits, options = ('train',), {k: v for k, v in options.items() if not k.startswith(('val_', 'test_'))}
    join(config)
    notes += prepare(config, splits, options)
    apply_arguments(config, args)
    notes += go_on(config)
    code = 0
    try:
        build_runner(config, notes).train()
    except Preempted:
        code = EXIT_CODE
    end_rank(code)
    return code
