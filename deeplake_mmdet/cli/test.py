"""Evaluate a checkpoint; the arguments are those of MMDetection's ``tools/test.py``."""

from __future__ import annotations

import argparse
import copy
import os
from typing import Any

from deeplake_mmdet.cli.arguments import add_common, load_config
from deeplake_mmdet.engine.join import end_rank, join
from deeplake_mmdet.engine.prepare import prepare
from deeplake_mmdet.engine.runner import build_runner
from deeplake_mmdet.errors import ConfigError


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='deeplake-mmdet test', description='Evaluate a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='draw predictions into this folder below the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that each picture is shown')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    add_common(parser)
    args = parser.parse_args(argv)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error('--out expects a file name that ends in .pkl or .pickle')
    return args


def use_tta(config: Any) -> None:
    """Put the model and the test pipeline into test-time augmentation, by the config's own words or by flipping."""
    dataset = config.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    model = config.get('tta_model') or dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    )
    pipeline = config.get('tta_pipeline')
    if pipeline is None:
        keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
        flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
        augmentations = [flips, [dict(type='PackDetInputs', meta_keys=keys)]]
        pipeline = [*copy.deepcopy(dataset.pipeline[:-1]), dict(type='TestTimeAug', transforms=augmentations)]
    config.model = dict(**model, module=config.model)
    dataset.pipeline = pipeline


def run(args: argparse.Namespace) -> dict[str, float]:
    """Evaluate; returns metric name to value.

    Raises:
        ConfigError: The checkpoint does not exist, and all that `prepare` refuses.
    """
    config, notes = load_config(args)
    if not os.path.isfile(args.checkpoint) and '://' not in args.checkpoint:
        raise ConfigError(f'The checkpoint {args.checkpoint!r} does not exist.')
    join(config)
    notes += prepare(config, ('test',), args.cfg_options)
    config.load_from, config.resume = args.checkpoint, False
    config.trust_checkpoint = args.trust_checkpoint
    from mmdet.engine.hooks.utils import trigger_visualization_hook

    from deeplake_mmdet.engine.dump_predictions import DumpPredictions

    if args.show or args.show_dir:
        config = trigger_visualization_hook(config, args)
    if args.tta:
        use_tta(config)
    runner = build_runner(config, notes)
    if args.out:
        runner.test_evaluator.metrics.append(DumpPredictions(out_file_path=args.out))
    return runner.test()


def main(argv: list[str] | None = None) -> int:
    run(parse(argv))
    end_rank()
    return 0
