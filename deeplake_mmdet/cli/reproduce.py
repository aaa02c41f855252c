"""``deeplake-mmdet reproduce CHECKPOINT``: the training that made a checkpoint, once more."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds
from deeplake_mmdet.errors import LineageError


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet reproduce',
        description='Write the config that trains a checkpoint again, on the same revision of the data, with the same '
        'seed and order, and train with it. A config can run code: do this with checkpoints that you trust.',
    )
    parser.add_argument('run', metavar='CHECKPOINT|WORK_DIR', help='a checkpoint, or the work dir of its run')
    parser.add_argument('--work-dir', help='where to train (default: work_dirs/<name of the run>_again)')
    parser.add_argument('--config-only', action='store_true', help='write the config, and do not train')
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Trains, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from mmengine.config import Config  # --help need not load PyTorch

    from deeplake_mmdet.engine.reproduce import check_weights, config_of, give_credentials
    from deeplake_mmdet.engine.train import train_detector
    from deeplake_mmdet.lineage.reading import read_run

    run = read_run(options.run)
    work_dir = options.work_dir or os.path.join('work_dirs', f'{Path(run.record["run"]["work_dir"]).name}_again')
    config = config_of(run, work_dir)
    file = Path(work_dir, 'reproduced.py')
    if Path(work_dir).is_dir() and any(Path(work_dir).iterdir()):
        raise LineageError(
            f'--work-dir expected a folder that is new or empty, but got {work_dir!r}. Name another one.'
        )
    if not options.config_only:
        check_weights(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    config.dump(str(file))
    print(f'Wrote {file}')
    if options.config_only:
        return 0
    config = Config.fromfile(str(file))  # which imports the modules that it needs
    give_credentials(config, read_creds(options.creds))
    processes = run.record['run']['world_size']
    result = train_detector(
        None, config, distributed=processes if processes > 1 else False, validate=bool(config.get('val_dataloader'))
    )
    print(f'Trained {result.checkpoint}')
    return 0
