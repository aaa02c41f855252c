"""Annotations in memory: what ranks and their workers take together, beside one process, and how soon the ranks start.

    python benchmarks/index_memory.py               # 1,000,000 rows and 7,000,000 boxes, 4 ranks of 2 workers each
    python benchmarks/index_memory.py --rows 100000

It writes a dataset with Deep Lake alone (images are stand-ins of a few bytes), then starts the ranks of a node at the
same moment: without the cache of annotations, with an empty one, and with the one that is there then; with forked and
with spawned workers. Every rank and every worker reads all annotations once. Memory is the proportional set size (PSS,
in which a page that n processes share counts 1/n in each) of all these processes together: of anonymous memory, less
that of as many processes with a dataset of 8 rows, and of the cache's file. "One process" is a rank without workers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BOXES, BATCH, SIZE = 7, 20_000, (480, 640)
CLASSES = [f'class_{i:02d}' for i in range(80)]
CACHES, METHODS = ('no cache', 'empty cache', 'cache'), ('fork', 'spawn')


def write_data(path: Path, rows: int) -> None:
    """Write a dataset of `rows` images with 0 to 14 boxes each, `BOXES` on average."""
    import deeplake
    from deeplake import types

    rng = np.random.default_rng(0)
    dataset = deeplake.create(str(path))
    dataset.add_column('images', types.Image(sample_compression='jpg'))
    dataset.add_column('boxes', types.BoundingBox('float32', 'ltwh', 'pixel'))
    dataset.add_column('categories', types.ClassLabel(types.Array('uint32', 1)))
    for name in ('height', 'width'):
        dataset.add_column(name, 'int32')
    dataset['categories'].metadata['class_names'] = CLASSES
    for start in range(0, rows, BATCH):
        number = min(BATCH, rows - start)
        counts = rng.integers(0, 2 * BOXES + 1, number)
        total, ends = int(counts.sum()), np.cumsum(counts)[:-1]
        boxes = np.concatenate([rng.uniform(0, 300, (total, 2)), rng.uniform(4, 150, (total, 2))], axis=1)
        dataset.append(
            {
                'images': [b'\xff\xd8\xff stand-in'] * number,
                'boxes': np.split(boxes.astype(np.float32), ends),
                'categories': np.split(rng.integers(0, len(CLASSES), total, np.uint32), ends),
                'height': np.full(number, SIZE[0], np.int32),
                'width': np.full(number, SIZE[1], np.int32),
            }
        )
    dataset.commit('stand-ins')


def arrays_of(index: Any) -> Iterator[np.ndarray]:
    """All arrays of an index, also those that are computed from it."""
    assert index.usable is not None
    yield from (value for value in vars(index).values() if isinstance(value, np.ndarray))


def read_arrays(index: Any) -> None:
    """Read every number of the annotations."""
    for array in arrays_of(index):
        array.max()


def read_all(worker: int = 0) -> None:
    """The same in a worker."""
    from torch.utils.data import get_worker_info

    read_arrays(get_worker_info().dataset.index)


def as_they_are(samples: list[Any]) -> list[Any]:
    """Samples as a batch."""
    return samples


def rank(path: str, workers: int, method: str) -> None:
    """One rank: import, wait to be told, build the dataset, start the workers, stay; tells each step on its output."""
    import deeplake  # noqa: F401
    from torch.utils.data import DataLoader

    import deeplake_mmdet

    build = deeplake_mmdet.DeepLakeDataset  # the module is imported here
    print('imported', flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    dataset = build(deeplake_path=path, deeplake_dataloader_type='python', filter_cfg=dict(filter_empty_gt=True))
    dataset.metainfo  # noqa: B018  (the digest, which every checkpoint gets)
    print(json.dumps({'seconds': time.perf_counter() - begin, 'ready': time.monotonic()}), flush=True)
    sys.stdin.readline()
    read_arrays(dataset.index)
    # Row numbers may be the ids of the images as well.
    size = sum({array.ctypes.data: array.nbytes for array in arrays_of(dataset.index)}.values())
    options = dict(multiprocessing_context=method, persistent_workers=True, prefetch_factor=1) if workers else {}
    loader = DataLoader(dataset, 1, num_workers=workers, collate_fn=as_they_are, worker_init_fn=read_all, **options)
    batches = iter(loader) if workers else iter(())
    for _ in range(workers):
        next(batches)
    print(json.dumps({'bytes': size}), flush=True)
    sys.stdin.readline()


def start_ranks(path: Path, ranks: int, workers: int, method: str, cache: str) -> dict[str, float]:
    """Start the ranks of a node at the same moment.

    Returns:
        ``mib``, the memory of them and of their workers; ``first`` and ``last``, seconds until the first and the last
        rank has its dataset; ``bytes`` of the annotations.
    """
    arguments = [sys.executable, os.path.abspath(__file__), '--rank', str(path), '--workers', str(workers)]
    processes = [
        subprocess.Popen(
            [*arguments, '--method', method],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, 'DEEPLAKE_MMDET_CACHE': cache, 'OMP_NUM_THREADS': '1'},
        )
        for _ in range(ranks)
    ]
    try:
        for process in processes:
            answer(process, 'imported')
        begin = time.monotonic()
        ready = [said['ready'] - begin for said in tell(processes)]
        size = tell(processes)[0]['bytes']
        members = [process.pid for process in processes] + [
            child for process in processes for child in children(process.pid)
        ]
        assert len(members) >= ranks * (1 + workers), members
        found = {'mib': sum(map(pss_mib, members)), 'first': min(ready), 'last': max(ready), 'bytes': size}
        for process in processes:
            process.communicate(timeout=60)
        return found
    finally:
        for process in processes:
            process.kill()
            process.wait()


def tell(processes: list[subprocess.Popen[str]]) -> list[dict[str, float]]:
    """Have all of them go on, and give what each says."""
    for process in processes:
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
    return [json.loads(answer(process, '{')) for process in processes]


def answer(process: subprocess.Popen[str], beginning: str) -> str:
    """The next line that begins so; MMEngine logs to the same output."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line
    raise RuntimeError(f'a rank ended with exit code {process.wait()}')


def children(pid: int) -> list[int]:
    """All processes below one."""
    found = [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def pss_mib(pid: int) -> float:
    """PSS of a process's anonymous and shared memory, and of cached annotations, MiB."""
    total, counts = 0, False
    for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith(('Pss_Anon:', 'Pss_Shmem:')):
            total += int(line.split()[1])
    for line in Path(f'/proc/{pid}/smaps').read_text().splitlines():
        if line[0] in '0123456789abcdef':  # a mapping begins
            counts = line.endswith('.index')
        elif counts and line.startswith('Pss:'):
            total += int(line.split()[1])
    return total / 1024


def compare(folder: Path, rows: int, ranks: int, workers: int) -> None:
    """Measure all ways, and print them."""
    ways = [(1, 0, 'fork'), *((ranks, workers, method) for method in METHODS)]
    small = [start_ranks(folder / 'small', *way, 'off')['mib'] for way in ways]
    for cache in CACHES:
        one = 0.0
        for way, without in zip(ways, small, strict=True):
            place = folder / 'cache'
            if cache == 'empty cache':
                shutil.rmtree(place, ignore_errors=True)
            found = start_ranks(folder / 'large', *way, 'off' if cache == 'no cache' else str(place))
            mib = found['mib'] - without
            one = one or mib
            name = f'{way[0]} x {way[1]}, {way[2]}' if way[1] else 'one process'
            print(
                f'{cache:<12} {name:<13} {mib:6.0f} MiB, {mib / one:5.2f} times that of one process   '
                f'first rank after {found["first"]:5.2f} s, last one {found["last"] - found["first"]:5.2f} s later',
                flush=True,
            )
    size = found['bytes'] / rows
    print(f'{size:.0f} bytes a row: {size * rows / 2**20:.0f} MiB here, {size / 10:.1f} GB for 100,000,000 rows')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=1_000_000)
    parser.add_argument('--ranks', type=int, default=4)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--rank', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--method', choices=METHODS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank:
        rank(str(args.rank), args.workers, args.method)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f'Writing {args.rows} rows with {BOXES} boxes each on average to {folder}', flush=True)
        write_data(folder / 'large', args.rows)
        write_data(folder / 'small', 8)
        compare(folder, args.rows, args.ranks, args.workers)


if __name__ == '__main__':
    main()
