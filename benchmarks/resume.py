"""Resuming: how long until the first batch of a run that goes on at iteration 10,000, beside stock MMEngine.

    python benchmarks/resume.py                     # 5,000 images of 64 pixels, batches of 8
    python benchmarks/resume.py --size 640          # of a usual size: MMEngine then takes a quarter of an hour

It writes a dataset and a checkpoint that says that 10,000 iterations are done, then resumes from it several times with
each side, in turn, each time in a fresh process. All read the same Deep Lake dataset with the same workers; MMEngine's
`IterBasedTrainLoop` has the sampler of MMDetection's configs, or the `InfiniteSampler`, which its newer versions can
wind forward. Time is that from the start of the loop, the checkpoint loaded, to the first batch; beside it stands how
many images were read meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SAMPLERS = {
    'MMEngine, DefaultSampler': 'DefaultSampler',
    'MMEngine, InfiniteSampler': 'InfiniteSampler',
    'DeepLakeSampler': 'DeepLakeSampler',
}
SIDES = tuple(SAMPLERS)


def write_dataset(path: Path, images: int, size: int) -> None:
    """Noise with one box an image."""
    import cv2
    import deeplake
    import numpy as np
    from deeplake import types

    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(50)]
    encoded = [cv2.imencode('.jpg', image)[1].tobytes() for image in noise]
    columns: dict[str, tuple[Any, Any]] = {
        'images': (types.Image(sample_compression='jpeg'), [encoded[i % len(encoded)] for i in range(images)]),
        'boxes': (types.BoundingBox('float32', 'ltwh', 'pixel'), [np.float32([[1, 1, 9, 9]])] * images),
        'categories': (types.ClassLabel(types.Array('uint32', 1)), [np.zeros(1, np.uint32)] * images),
        **{side: ('int32', np.full(images, size, np.int32)) for side in ('height', 'width')},
    }
    dataset = deeplake.create(str(path))
    for name, (kind, _) in columns.items():
        dataset.add_column(name, kind)
    dataset['categories'].metadata['class_names'] = ['thing']
    dataset.append({name: values for name, (_, values) in columns.items()})
    dataset.commit('noise')


def build(side: str, arguments: argparse.Namespace, **changes: Any) -> Any:
    """The runner of one side."""
    import torch
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    import deeplake_mmdet  # noqa: F401  (registers dataset, sampler and loops)

    class Nothing(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.number = torch.nn.Parameter(torch.zeros(1))

        def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
            return {'loss': self.number.square()}

    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
    return Runner(
        model=Nothing(),
        train_dataloader=dict(
            batch_size=arguments.batch,
            num_workers=arguments.workers,
            persistent_workers=arguments.workers > 0,
            sampler=dict(type=SAMPLERS[side], shuffle=True),
            dataset=dict(
                type='DeepLakeDataset',
                deeplake_path=str(arguments.folder / 'dataset'),
                pipeline=[*pipeline, dict(type='PackDetInputs')],
            ),
        ),
        train_cfg=dict(
            type='DeepLakeIterTrainLoop' if side == SIDES[-1] else 'IterBasedTrainLoop',
            max_iters=arguments.iteration + 1,
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        work_dir=str(arguments.folder / 'work'),
        randomness=dict(seed=0),
        default_scope='mmdet',
        **{'log_level': 'WARNING', **changes},
    )


def write_checkpoint(arguments: argparse.Namespace) -> None:
    """``checkpoint.pth``: what each side saves after that many iterations."""
    import torch

    from deeplake_mmdet.engine.place import KEY

    runner = build(SIDES[-1], argparse.Namespace(**{**vars(arguments), 'iteration': 0}))
    runner.train()
    saved = torch.load(arguments.folder / 'work' / 'epoch_1.pth', weights_only=False)
    epoch, batches = divmod(arguments.iteration, -(-arguments.images // arguments.batch))
    saved['meta'].update(epoch=0, iter=arguments.iteration)
    saved['meta'][KEY].update(epoch=epoch, consumed=[[arguments.batch, batches]], validated=True)
    torch.save(saved, arguments.folder / 'checkpoint.pth')


def measure(side: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Resume in this process; returns seconds, and images read."""
    from mmengine.hooks import Hook

    from deeplake_mmdet.checkpoints.loading import register_loaders
    from deeplake_mmdet.source.images import ImageReader

    register_loaders()
    count = multiprocessing.Value('q')  # workers are forked, and count into it, too
    encoded = ImageReader.encoded

    def counted(self: ImageReader, rows: Any) -> Any:
        with count:
            count.value += len(rows)
        return encoded(self, rows)

    ImageReader.encoded = counted  # type: ignore[method-assign]
    found: dict[str, Any] = {}

    class Clock(Hook):
        def before_train(self, runner: Any) -> None:
            self.begin = time.perf_counter()

        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            found.update(seconds=time.perf_counter() - self.begin, images=count.value)

    checkpoint = str(arguments.folder / 'checkpoint.pth')
    build(side, arguments, custom_hooks=[Clock()], load_from=checkpoint, resume=True).train()
    return found


def run(side: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a fresh process."""
    names = ('images', 'batch', 'workers', 'iteration', 'folder')
    given = [text for name in names for text in (f'--{name}', str(getattr(arguments, name)))]
    command = [sys.executable, os.path.abspath(__file__), '--measure', side, *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{side} failed:\n{done.stderr}')
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=5_000)
    parser.add_argument('--size', type=int, default=64, help='height and width in pixels')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--iteration', type=int, default=10_000)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--measure', choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        arguments.folder = Path(temporary)
        print(f'{arguments.images} images of {arguments.size} pixels, resumed at {arguments.iteration}', flush=True)
        write_dataset(arguments.folder / 'dataset', arguments.images, arguments.size)
        write_checkpoint(arguments)
        results: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(arguments.repeat):
            for side in SIDES:
                results[side].append(run(side, arguments))
    for side, measured in results.items():
        seconds, images = ([one[key] for one in measured] for key in ('seconds', 'images'))
        print(
            f'{side:<26}{statistics.median(seconds):9.2f} s ({min(seconds):.2f} to {max(seconds):.2f})'
            f'{statistics.median(images):10.0f} images read before the first batch was there'
        )


if __name__ == '__main__':
    main()
