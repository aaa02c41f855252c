"""The whole path in one command: make a dataset, train on it, evaluate, draw the result."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from deeplake_mmdet.errors import ConfigError

_CONFIG = Path(__file__).parents[2] / 'configs' / 'demo' / 'rtmdet-narrow_demo.py'


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='deeplake-mmdet demo', description=__doc__)
    parser.add_argument('--data', default='data/demo', help='where the dataset is made (default: %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='logs and checkpoints (default: %(default)s)')
    parser.add_argument('--epochs', type=int, help='train shorter or longer than the config says')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    if not _CONFIG.is_file():
        raise ConfigError(f'The demo expected its config at {_CONFIG}. Run it from a checkout of the repository.')
    begin = time.monotonic()
    make_dataset(args.data)
    checkpoint = train(args)
    trained = time.monotonic()
    metrics, picture = evaluate(args, checkpoint)
    print_summary(args, checkpoint, metrics, picture, trained - begin)
    return 0


def make_dataset(path: str) -> None:
    """Make the dataset, unless it is there."""
    import deeplake

    from deeplake_mmdet.convert.demo import make_demo

    if deeplake.exists(path):
        print(f'Using the dataset at {path}')
        return
    print(f'Making a dataset at {path}', flush=True)
    make_demo(path)


def _options(args: argparse.Namespace) -> list[str]:
    path = os.path.abspath(args.data)
    return [f'{split}_dataloader.dataset.deeplake_path={path}' for split in ('train', 'val', 'test')]


def train(args: argparse.Namespace) -> str:
    """Train; returns the best checkpoint's path."""
    from deeplake_mmdet.cli import train as train_verb

    options = _options(args) + ([f'train_cfg.max_epochs={args.epochs}'] if args.epochs else [])
    train_verb.main([str(_CONFIG), '--work-dir', args.work_dir, '--cfg-options', *options])
    best = sorted(Path(args.work_dir).glob('best_*.pth'), key=lambda file: file.stat().st_mtime)
    return str(best[-1] if best else (Path(args.work_dir) / 'last_checkpoint').read_text().strip())


def evaluate(args: argparse.Namespace, checkpoint: str) -> tuple[dict[str, float], str]:
    """Evaluate a checkpoint on the val view; returns the metrics and the path of a picture."""
    import pickle

    from deeplake_mmdet import DeepLakeDataset
    from deeplake_mmdet.cli import test as test_verb
    from deeplake_mmdet.visualization import draw_comparison

    out = os.path.join(args.work_dir, 'predictions.pkl')
    metrics = test_verb.run(
        test_verb.parse(
            [str(_CONFIG), checkpoint, '--work-dir', args.work_dir, '--out', out, '--cfg-options', *_options(args)]
        )
    )
    with open(out, 'rb') as file:  # written a moment ago by this process
        predictions = pickle.load(file)
    picture = os.path.join(args.work_dir, 'predictions.png')
    dataset = DeepLakeDataset(deeplake_path=args.data, deeplake_view_id='val', test_mode=True)
    draw_comparison(dataset, predictions, picture)
    return metrics, picture


def print_summary(
    args: argparse.Namespace, checkpoint: str, metrics: dict[str, float], picture: str, seconds: float
) -> None:
    """What came out, and what to do next."""
    print(f'\nTrained in {seconds / 60:.1f} min. COCO metrics on the view "val" of {args.data}:\n')
    for name, value in metrics.items():
        print(f'  {name.rpartition("/")[2]:<14}{value:.3f}')
    print(f'\nPredictions beside the ground truth: {picture}')
    print(f'Checkpoint: {checkpoint}')
    config = os.path.relpath(_CONFIG)
    print(f'Again, by hand: python tools/train.py {config} && python tools/test.py {config} {checkpoint}')
