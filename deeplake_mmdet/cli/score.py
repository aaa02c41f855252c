"""``deeplake-mmdet score CONFIG CHECKPOINT``: loss, errors and suspicion of every image; written back to a branch."""

from __future__ import annotations

import argparse
import os
import uuid
from typing import TYPE_CHECKING, Any

from deeplake_mmdet.cli.arguments import add_config_options, add_launcher, add_trust, load_config
from deeplake_mmdet.errors import ConfigError, DeepLakeMMDetError
from deeplake_mmdet.scoring.columns import COLUMNS, COUNT, NUMBER

if TYPE_CHECKING:
    from deeplake_mmdet.scoring.image_table import ImageTable


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet score',
        description='Compute the loss of each image by itself, its errors and how likely its annotations are wrong; '
        'list the worst images, and write everything back into a branch of the dataset.',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='data (default: train)')
    _add_results(parser)
    parser.add_argument('--batch-size', type=_positive, default=16, help='images in the backbone at once (default: 16)')
    parser.add_argument('--num-workers', type=_count, default=2, help='processes that load images (default: 2)')
    parser.add_argument(
        '--one-by-one', action='store_true', help='one image at a time in the backbone too; slower, the same numbers'
    )
    parser.add_argument('--iou-thr', type=_share, default=0.5, help='overlap that finds an object (default: 0.5)')
    parser.add_argument(
        '--score-thr', type=_share, default=0.3, help='score from which a detection counts and is kept (default: 0.3)'
    )
    parser.add_argument('--masks', action='store_true', help='keep the masks of detections too')
    for add in (add_config_options, add_trust, add_launcher):
        add(parser)
    parser.set_defaults(work_dir=None)
    args = parser.parse_args(argv)
    if args.write_back and args.to:
        parser.error('--write-back writes to a branch, --to to a new dataset: give one of them')
    if args.run and not (args.write_back or args.to):
        parser.error('--run names what --write-back or --to writes: give one of them')
    return args


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--write-back', metavar='BRANCH', help='write the results to this branch of the dataset, made where it is new'
    )
    parser.add_argument('--to', metavar='PATH', help='write them to a new dataset instead')
    parser.add_argument('--run', metavar='NAME', help='write them below model_evaluation/NAME, beside other runs')
    parser.add_argument('--message', default='', metavar='TEXT', help='why, for the commit')
    parser.add_argument('--out', metavar='FILE.csv', help='write one line an image to this file')
    parser.add_argument('--top', type=_positive, default=10, help='worst images that are listed (default: 10)')
    parser.add_argument('--by', default='loss', help='column that ranks them (default: loss)')


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f'expected 0 or more, but got {number}')
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'expected 1 or more, but got {number}')
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f'expected a number from 0 to 1, but got {number}')
    return number


def main(argv: list[str] | None = None) -> int:
    from deeplake_mmdet.engine.join import end_rank

    run(parse(argv))
    end_rank()
    return 0


def run(args: argparse.Namespace) -> ImageTable | None:
    """Score, list, write; returns the numbers of all images on the first rank, None on the others.

    Raises:
        ConfigError: An argument, the config, the data or the checkpoint do not fit.
        SourceError: The branch cannot be written.
    """
    from mmengine.dist import is_main_process

    from deeplake_mmdet.engine.join import join
    from deeplake_mmdet.engine.prepare import prepare
    from deeplake_mmdet.engine.score import ScoringOptions, score_dataset
    from deeplake_mmdet.engine.scoring_data import scored_dataset
    from deeplake_mmdet.engine.scoring_facts import scoring_facts
    from deeplake_mmdet.engine.scoring_model import load_detector
    from deeplake_mmdet.engine.told_failures import failures_told
    from deeplake_mmdet.inspection.score_tables import score_tables
    from deeplake_mmdet.scoring.image_table import ImageTable

    _check_out(args.out)
    _check_by(args.by)
    config, _ = load_config(args)
    config.work_dir, config.trust_checkpoint = None, args.trust_checkpoint  # nothing is written there
    join(config)
    prepare(config, (args.split,), args.cfg_options)
    thresholds, batched = (args.iou_thr, args.score_thr), not args.one_by_one
    options = ScoringOptions(args.batch_size, args.num_workers, *thresholds, args.masks, batched)
    with failures_told():
        dataset = scored_dataset(config, args.split)
        target = _target(args, dataset) if is_main_process() else None
        model, meta = load_detector(config, args.checkpoint, {f'{args.split}_dataloader.dataset': dataset})
        spool, how = score_dataset(dataset, model, options)
        if not is_main_process():
            return None
        table = ImageTable(spool)
        if args.out:
            table.write_csv(args.out, dataset.index.rows, list(dataset.index.img_ids))
        print(f'{dataset.source.revision}: {len(table)} images were scored. {how}\n')
        if target is not None:
            facts = scoring_facts(config, args.checkpoint, meta, dataset, options)
            print(f'{_write(args, target, spool, dataset, facts)}\n')
        print(score_tables(table, spool, dataset, args.by, args.top))
        return table


def _write(args: argparse.Namespace, target: Any, spool: Any, dataset: Any, facts: dict[str, str]) -> Any:
    """Write the results back; where that fails after all, into a dataset of their own, so that they are not lost.

    Raises:
        DeepLakeMMDetError: It failed; the message says where they are.
    """
    names = [*dict.fromkeys(name for part in spool for name in part.values)]
    stored = {
        'classes': dataset.index.classes,
        'columns': names,
        'message': commit_message(facts, args.message),
        'facts': facts,
    }
    try:
        return target.write((part.completed(names) for part in spool), **stored)
    except DeepLakeMMDetError as error:
        if args.to:
            raise
        args.write_back, args.to = None, os.path.abspath(f'scores_{uuid.uuid4().hex[:8]}')
        _target(args, dataset).write((part.completed(names) for part in spool), **stored)
        raise type(error)(f'{error} The results are in a dataset of their own, {args.to}.') from error


def commit_message(facts: dict[str, str], why: str) -> str:
    """What a commit of results says: why, and what they were made of."""
    version = ':'.join(facts[key] for key in ('branch', 'commit_id') if facts[key])
    selected = ''.join(f', {key.removesuffix("_id")} {facts[key]}' for key in ('view_id', 'query') if facts[key])
    checkpoint = f'{facts["checkpoint"]} (sha256 {facts["checkpoint_sha256"][:12] or "unknown"})'
    config = f'{os.path.basename(facts["config"])} (sha256 {facts["config_sha256"][:12]})'
    said = f'Scores of {checkpoint} by {config} on {version}{selected}'
    return f'{why}. {said}' if why else said


def _check_by(by: str) -> None:
    numbers = [name for name, found in COLUMNS.items() if found.kind in (NUMBER, COUNT)]
    if by not in numbers and 'loss' not in by:
        raise ConfigError(f'--by expected one of {", ".join(numbers)}, or a loss term, but got {by!r}.')


def _check_out(out: str | None) -> None:
    folder = os.path.dirname(os.path.abspath(out)) if out else None
    if folder and not os.path.isdir(folder):
        raise ConfigError(f'--out is {out!r}, whose folder does not exist. Make the folder {folder!r} first.')


def _target(args: argparse.Namespace, dataset: Any) -> Any:
    if not (args.write_back or args.to):
        return None
    from deeplake_mmdet.writeback.target import Target

    return Target.of(dataset.source, None, branch=args.write_back, to=args.to, run=args.run)
