"""Finding planted faults: how many of them are among the worst images, and what it is worth to mend these.

    python benchmarks/bad_labels.py                                  # as documented, 20 minutes on two cores
    python benchmarks/bad_labels.py --images 96 --epochs 4           # quick, and rough

It plants one fault in each of ten of a hundred images (``tools/plant_faults.py``), trains on them, scores the same
images, and looks for the faults among the worst fifth by several columns. Then it goes round the loop with the
commands that a user has: a query takes the worst fifth into a view, whoever looks at them relabels or drops what is
wrong and draws again what is missing or misplaced (here the drawing itself says what that is), on a branch.

One object in seventy is faulty, so what mending is worth is less than what another seed changes. Therefore the trained
detector goes on with a small learning rate, on the faulty and on the mended data with the same images, order and
augmentations, several times. All are evaluated on images without faults.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))
from plant_faults import KINDS, plant, values_of  # noqa: E402

CONFIG = str(ROOT / 'configs' / 'demo' / 'rtmdet-narrow_demo.py')
RANKINGS = ('suspicion', 'loss', 'iou', *(f'suspicion_{kind}' for kind in KINDS))
BRANCH, VIEW, WORST = 'scored', 'worst', 0.2
METRIC = 'coco/bbox_mAP'


def run(folder: Path, images: int, epochs: int, more_epochs: int, rounds: int, seed: int = 0) -> dict[str, Any]:
    """The whole loop.

    Args:
        folder: For datasets and work dirs.
        images: To train on.
        epochs: Of the training.
        more_epochs: By which it goes on, on faulty and on mended data.
        rounds: How often, each time with another seed.
        seed: Of data, faults and training.

    Returns:
        ``found`` (ranking to kind to the share of faulty images among the worst fifth), ``trained``, the mAP of the
        detector, and ``faulty`` and ``mended``, the mAPs of each round after it went on.
    """
    path = str(folder / 'faulty')
    faults = plant(path, images=images, val=max(images // 4, 8), seed=seed)
    checkpoint = train(folder / 'trained', path, epochs, seed)
    table = score(path, checkpoint, seed)
    count = round(WORST * images)
    found = {name: shares(faults, set(table.worst(name, count).tolist())) for name in RANKINGS}
    save_worst(path, count)
    seen = viewed_rows(path)
    mend(path, [fault for fault in faults if fault['row'] in seen])
    result: dict[str, Any] = {'found': found, 'trained': evaluate(folder, path, checkpoint, seed)}
    for side, branch in (('faulty', None), ('mended', BRANCH)):
        result[side] = []
        for number in range(rounds):
            own = folder / f'{side}_{number}'
            again = train(own, path, more_epochs, number, branch=branch, checkpoint=checkpoint)
            result[side].append(evaluate(folder, path, again, seed))
    return result


def options(path: str, seed: int, branch: str | None = None) -> list[str]:
    """The demo's config on these data."""
    val = [
        f'{split}_dataloader.dataset.{key}={value}'
        for split in ('val', 'test')
        for key, value in (('deeplake_path', f'{path}_val'), ('deeplake_view_id', ''))
    ]
    train = {'deeplake_path': path, 'deeplake_view_id': '', **({'deeplake_branch': branch} if branch else {})}
    return [
        '--cfg-options',
        *(f'train_dataloader.dataset.{key}={value}' for key, value in train.items()),
        *val,
        f'randomness.seed={seed}',
    ]


def train(
    work_dir: Path, path: str, epochs: int, seed: int, *, branch: str | None = None, checkpoint: str | None = None
) -> str:
    """Train, or go on from a checkpoint with a quarter of the learning rate; gives the last checkpoint."""
    from deeplake_mmdet.cli.main import main

    changes = [
        *options(path, seed, branch),
        *(f'{key}={epochs}' for key in ('train_cfg.max_epochs', 'train_cfg.val_interval')),
        *(f'param_scheduler.1.{key}={epochs}' for key in ('end', 'T_max')),
        f'default_hooks.checkpoint.interval={epochs}',
    ]
    if checkpoint is not None:
        changes += [f'load_from={checkpoint}', 'optim_wrapper.optimizer.lr=5e-4', 'param_scheduler.0.end=1']
    _call(main, ['train', CONFIG, '--work-dir', str(work_dir), *changes])
    return str(work_dir / f'epoch_{epochs}.pth')


def score(path: str, checkpoint: str, seed: int) -> Any:
    """Score the training images, and write the results to a branch; gives the numbers of each image."""
    from deeplake_mmdet.cli import score as verb

    args = [CONFIG, checkpoint, '--split', 'train', '--write-back', BRANCH, '--top', '5', *options(path, seed)]
    return verb.run(verb.parse(args))


def evaluate(folder: Path, path: str, checkpoint: str, seed: int) -> float:
    """The mAP on the images without faults."""
    from deeplake_mmdet.cli import test as verb

    args = [CONFIG, checkpoint, '--work-dir', str(folder / 'test'), *options(path, seed)]
    return verb.run(verb.parse(args))[METRIC]


def shares(faults: Sequence[dict[str, Any]], worst: set[int]) -> dict[str, float]:
    """Part of the faulty images that is among the worst ones, by kind and of all."""
    kinds = {kind: [fault for fault in faults if fault['kind'] == kind] for kind in KINDS}
    kinds['all'] = list(faults)
    return {kind: sum(fault['row'] in worst for fault in some) / max(len(some), 1) for kind, some in kinds.items()}


def save_worst(path: str, count: int) -> None:
    """Save the rows that a query calls the worst as a view."""
    from deeplake_mmdet.cli.main import main

    query = f'select * order by "model_evaluation/suspicion" desc limit {count}'
    _call(main, ['query', f'{path}@{BRANCH}', query, '--save-view', VIEW])


def viewed_rows(path: str) -> set[int]:
    """The rows of that view."""
    import deeplake

    dataset = deeplake.open_read_only(path)
    images = [dataset['images'].get_bytes(row) for row in range(len(dataset))]
    view = dataset.tags[VIEW].open()
    return {images.index(view['images'].get_bytes(place)) for place in range(len(view))}


def mend(path: str, faults: Sequence[dict[str, Any]]) -> None:
    """What somebody does who looks at the images."""
    from deeplake_mmdet.cli.main import main

    command = ['edit', path, '--branch', BRANCH, '--message', 'Looked at the worst fifth']
    for fault in faults:
        place = f'{fault["row"]}:{fault["object"]}'
        if fault['kind'] == 'wrong_class':
            command += ['--relabel', f'{place}={fault["was"]}']
        elif fault['kind'] == 'spurious_box':
            command += ['--drop-object', place]
    if len(command) > 6:
        _call(main, command)
    redraw(path, [fault['row'] for fault in faults if fault['kind'] in ('missing_box', 'badly_placed_box')])


def redraw(path: str, rows: Sequence[int]) -> None:
    """Boxes drawn again with a tool for it, which writes to the branch."""
    import deeplake

    from deeplake_mmdet import DeepLakeDataset

    drawn = DeepLakeDataset(deeplake_path=f'{path}_drawn', deeplake_view_id='train')
    dataset = deeplake.open(path)
    branch = dataset.branches[BRANCH].open()
    for row in rows:
        for name, values in values_of(drawn, row).items():
            branch[name][row] = values
    if rows:
        branch.commit('Boxes drawn again')


def _call(main: Any, command: list[str]) -> str:
    """Run a verb; gives what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(command)
    if code:
        raise SystemExit(f'deeplake-mmdet {command[0]} ended with {code}')
    return out.getvalue()


def report(result: dict[str, Any], images: int) -> str:
    """The tables of a run."""
    from deeplake_mmdet.versions.text_table import text_table

    found = [(name, *(f'{share:.0%}' for share in kinds.values())) for name, kinds in result['found'].items()]
    pairs = list(zip(result['faulty'], result['mended'], strict=True))
    rounds = [(number, *(f'{value:.3f}' for value in pair)) for number, pair in enumerate(pairs)]
    gains = [mended - faulty for faulty, mended in pairs]
    return (
        f'Faulty images among the worst fifth of {images}, by the column that ranks them (chance: 20%):\n\n'
        f'{text_table(("ranked by", *KINDS, "all"), found)}\n\n'
        f'mAP on images without faults: {result["trained"]:.3f} after training on the faulty ones. After going on:\n\n'
        f'{text_table(("seed", "with faults", "mended"), rounds)}\n\n'
        f'Mending is worth {statistics.mean(gains):+.4f} ({min(gains):+.4f} to {max(gains):+.4f}).'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=240)
    parser.add_argument('--epochs', type=int, default=16)
    parser.add_argument('--more-epochs', type=int, default=4)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', help='keep datasets and work dirs here (default: a temporary folder)')
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(args.folder or stack.enter_context(tempfile.TemporaryDirectory())).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        result = run(folder, args.images, args.epochs, args.more_epochs, args.rounds, args.seed)
        print(report(result, args.images))


if __name__ == '__main__':
    main()
