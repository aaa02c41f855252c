"""Writes the format-3 datasets of these tests with Deep Lake 3.9.52, and what that release itself reads in them.

Run it in an environment of its own, from anywhere:

    python3.11 -m venv v3env
    v3env/bin/pip install 'deeplake==3.9.52' 'numpy<2'
    v3env/bin/python tests/format3/make_fixtures.py

It replaces ``data/``: an archive for each dataset, and ``expected.json``. The datasets are written below a temporary
folder that becomes the working directory. Deep Lake notes the absolute path of a dataset in its saved views; that path
is replaced by the name of the dataset, and the files are searched for it afterwards. Links are relative paths, which
both releases take relative to the working directory.

Ids of commits, chunks and samples are random, so that a new run gives other files with the same rows.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
from PIL import Image

DATA = Path(__file__).parent / 'data'
COORDS = [(mode, unit) for mode in ('LTWH', 'LTRB', 'CCWH') for unit in ('pixel', 'fractional')]
HEIGHT, WIDTH = 16, 20
RNG = np.random.default_rng(3)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(1, 256, shape, np.uint8)


def boxes(count: int, mode: str = 'LTWH', unit: str = 'pixel') -> np.ndarray:
    """Boxes inside an image of HEIGHT x WIDTH, in any reading."""
    ltwh = np.array([[1 + k, 2, 5, 6 + k] for k in range(count)], np.float32).reshape(-1, 4)
    left, top, width, height = ltwh.T
    if mode == 'LTRB':
        ltwh = np.stack([left, top, left + width, top + height], 1)
    if mode == 'CCWH':
        ltwh = np.stack([left + width / 2, top + height / 2, width, height], 1)
    return ltwh / np.float32([WIDTH, HEIGHT, WIDTH, HEIGHT]) if unit == 'fractional' else ltwh


def make_history() -> None:
    """Two branches, rows that were added, changed and removed, a head that is not committed, and saved views."""
    ds = deeplake.empty('history', verbose=False)
    ds.create_tensor('images', htype='image', sample_compression='png')
    ds.create_tensor('boxes', htype='bbox', coords={'mode': 'LTWH', 'type': 'pixel'})
    ds.create_tensor('categories', htype='class_label', class_names=['cat', 'dog'])
    ds.create_tensor('number', dtype='int64')

    def add(number: int) -> None:
        count = number % 3
        labels = np.arange(count, dtype=np.uint32) % 2
        image = noise(HEIGHT, WIDTH, 3)
        ds.append({'images': image, 'boxes': boxes(count), 'categories': labels, 'number': np.int64(number)})

    for number in range(4):
        add(number)
    first = ds.commit('rows 0 to 3')
    ds.checkout('dev', create=True)
    add(100)
    add(101)
    ds.commit('rows 100 and 101')
    ds[[0, 5]].save_view(id='on_dev')
    ds.checkout('main')
    for number in (4, 5):
        add(number)
    ds.boxes[1] = boxes(1) + 1
    ds.images[1] = noise(HEIGHT, WIDTH + 2, 3)
    ds.commit('rows 4 and 5, row 1 changed')
    ds[::2].save_view(id='even')
    ds[[5, 1, 3]].save_view(id='shuffled')
    ds[[1, 4, 4]].save_view(id='repeated')
    ds[3].save_view(id='one')
    ds[[5, 1]].save_view(id='copy', optimize=True)
    ds.checkout(first)
    ds[1:3].save_view(id='early', message='of the first commit')
    ds.checkout('main')
    ds.pop(0)
    ds.commit('row 0 removed')
    add(6)
    ds.flush()


def make_columns() -> None:
    """Every kind of tensor that a detection dataset may have; the last row is empty."""
    ds = deeplake.empty('columns', verbose=False)
    image = {'htype': 'image', 'sample_compression': 'png'}
    ds.create_tensor('images', htype='image', sample_compression='jpg')
    ds.create_tensor('gray', **image)
    ds.create_tensor('rgba', **image)
    ds.create_tensor('packed_png', htype='image', chunk_compression='png')
    ds.create_tensor('packed_lz4', htype='image', chunk_compression='lz4')
    ds.create_tensor('binary_mask', htype='binary_mask', sample_compression='lz4')
    ds.create_tensor('segment_mask', htype='segment_mask', sample_compression='png', class_names=['sky', 'sea'])
    ds.create_tensor('instance_map', htype='segment_mask', sample_compression='lz4')
    ds.create_tensor('polygons', htype='polygon')
    ds.create_tensor('keypoints', htype='keypoints_coco', keypoints=['nose', 'tail'])
    ds.create_tensor('text', htype='text')
    ds.create_tensor('json', htype='json')
    ds.create_tensor('number', dtype='int64')
    ds.create_tensor('matrix', dtype='float64')
    ds.create_tensor('iscrowd', dtype='uint8')
    ds.create_tensor('flags', dtype='bool')
    ds.create_tensor('ann/boxes', htype='bbox', dtype='float64', coords={'mode': 'LTRB', 'type': 'pixel'})
    ds.create_tensor('ann/labels', htype='class_label', class_names=['cat', 'dog'])
    ds.create_tensor('ann/packed_labels', htype='class_label', class_names=['cat', 'dog'], chunk_compression='lz4')
    ds.create_tensor('boxes_bare', htype='bbox')
    ds.create_tensor('labels_bare', htype='class_label')
    for mode, unit in COORDS:
        ds.create_tensor(f'boxes_{mode}_{unit}', htype='bbox', coords={'mode': mode, 'type': unit})
    for row, count in enumerate((0, 1, 2, 1)):
        masks = RNG.integers(0, 2, (HEIGHT, WIDTH, count)).astype(bool)
        ds.append(
            {
                'images': noise(HEIGHT, WIDTH, 3),
                'gray': noise(HEIGHT, WIDTH),
                'rgba': noise(HEIGHT, WIDTH, 4),
                'packed_png': noise(HEIGHT, WIDTH + row, 3),
                'packed_lz4': noise(HEIGHT, WIDTH + row, 3) // 128,
                'binary_mask': masks,
                'segment_mask': RNG.integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8),
                'instance_map': RNG.integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint32),
                'polygons': [RNG.uniform(0, HEIGHT, (3 + k, 2)).astype(np.float32) for k in range(count)],
                'keypoints': RNG.integers(0, 9, (6, count)).astype(np.int32),
                'text': f'text {row}',
                'json': {'row': row},
                'number': np.int64(10 + row),
                'matrix': RNG.uniform(0, 1, (2, 1 + row)),
                'iscrowd': (np.arange(count) % 2).astype(np.uint8),
                'flags': np.array([row % 2, 1], bool),
                'ann/boxes': boxes(count, 'LTRB').astype(np.float64),
                'ann/labels': np.arange(count, dtype=np.uint32),
                'ann/packed_labels': np.arange(count, dtype=np.uint32),
                'boxes_bare': boxes(count),
                'labels_bare': np.arange(count, dtype=np.uint32),
                **{f'boxes_{mode}_{unit}': boxes(count, mode, unit) for mode, unit in COORDS},
            }
        )
    ds.append({'images': noise(HEIGHT, WIDTH, 3), 'number': np.int64(14)}, append_empty=True)
    ds.commit('all kinds')


def make_tiled() -> None:
    """Images that are cut into several chunks, and tensors of different length; never committed."""
    ds = deeplake.empty('tiled', verbose=False)
    ds.create_tensor('images', htype='image', sample_compression='png', tiling_threshold=2048)
    ds.create_tensor('boxes', htype='bbox', coords={'mode': 'LTWH', 'type': 'pixel'})
    ds.create_tensor('categories', htype='class_label', class_names=['cat', 'dog'])
    for row in range(3):
        ds.images.append(noise(*((60, 80, 3) if row == 1 else (HEIGHT, WIDTH, 3))))
        ds.boxes.append(boxes(1))
        if row < 2:
            ds.categories.append(np.array([row], np.uint32))
    ds.flush()


def make_linked() -> None:
    """Images behind links."""
    os.mkdir('linked_files')
    ds = deeplake.empty('linked', verbose=False)
    ds.create_tensor('images', htype='link[image]', sample_compression='png')
    ds.create_tensor('boxes', htype='bbox', coords={'mode': 'LTWH', 'type': 'pixel'})
    ds.create_tensor('categories', htype='class_label', class_names=['cat', 'dog'])
    for row in range(3):
        Image.fromarray(noise(HEIGHT, WIDTH + row, 3)).save(f'linked_files/{row}.png')
        link = deeplake.link(f'linked_files/{row}.png')
        ds.append({'images': link, 'boxes': boxes(1 + row), 'categories': np.zeros(1 + row, np.uint32)})
    ds.commit('links')


def make_stuck() -> None:
    """The three samples for which Deep Lake 4 waits for ever, in row 1."""
    ds = deeplake.empty('stuck', verbose=False)
    ds.create_tensor('images', htype='image', sample_compression='png')
    ds.create_tensor('boxes', htype='bbox', coords={'mode': 'LTWH', 'type': 'pixel'})
    ds.create_tensor('categories', htype='class_label', class_names=['cat', 'dog'])
    ds.create_tensor('links', htype='link[image]', sample_compression='png')
    ds.create_tensor('sequences', htype='sequence[image]', sample_compression='png')
    ds.create_tensor('lists', htype='list')
    for row in range(3):
        ds.append(
            {
                'images': noise(HEIGHT, WIDTH, 3),
                'boxes': boxes(1),
                'categories': np.zeros(1, np.uint32),
                'links': None if row == 1 else deeplake.link('linked_files/0.png'),
                'sequences': [] if row == 1 else [noise(4, 4, 3)] * 2,
                'lists': [] if row == 1 else ['a', 'b'],
            }
        )
    ds.commit('stuck')


def make_example() -> None:
    """The tensors that the example of Deep Lake's documentation of its integration for MMDetection maps."""
    ds = deeplake.empty('example', overwrite=True)
    ds.create_tensor('images', htype='image', sample_compression='jpg')
    ds.create_tensor('boxes', htype='bbox', coords={'mode': 'LTWH', 'type': 'pixel'})
    ds.create_tensor('categories', htype='class_label', class_names=['cat', 'dog', 'bird'])
    ds.create_tensor('masks', htype='binary_mask', sample_compression='lz4')
    for row in range(8):
        size = (48 + 8 * (row % 2), 64)
        corners = RNG.integers(0, 24, (3, 2))
        found = [[x, y, 12 + 8 * k, 10 + 6 * k] for k, (x, y) in enumerate(corners)]
        masks = np.zeros((*size, 3), bool)
        for k, (x, y, w, h) in enumerate(found):
            masks[y : y + h, x : x + w, k] = True
        ds.append(
            {
                'images': noise(*size, 3),
                'boxes': np.float32(found),
                'categories': np.uint32([row % 3, (row + 1) % 3, 2]),
                'masks': masks,
            }
        )
    ds.commit('example')


def make_masks() -> None:
    """Masks in the forms that `make_columns` does not have, of 1, 2, 0 and 1 objects."""
    ds = deeplake.empty('masks', verbose=False)
    ds.create_tensor('images', htype='image', sample_compression='png')
    ds.create_tensor('boxes', htype='bbox', coords={'mode': 'LTWH', 'type': 'pixel'})
    ds.create_tensor('categories', htype='class_label', class_names=['cat', 'dog'])
    ds.create_tensor('whole_polygons', htype='polygon', dtype='int32')
    ds.create_tensor('double_polygons', htype='polygon', dtype='float64')
    ds.create_tensor('byte_masks', htype='binary_mask', dtype='uint8', chunk_compression='lz4')
    ds.create_tensor('layers', htype='segment_mask', sample_compression='lz4')
    ds.create_tensor('one_mask', htype='binary_mask')
    for count in (1, 2, 0, 1):
        masks = RNG.integers(0, 2, (HEIGHT, WIDTH, count))
        corners = [RNG.integers(0, HEIGHT, (4, 2)) for _ in range(count)]  # of one length: an array, and no list
        ds.append(
            {
                'images': noise(HEIGHT, WIDTH, 3),
                'boxes': boxes(count),
                'categories': np.zeros(count, np.uint32),
                'whole_polygons': [points.astype(np.int32) for points in corners],
                'double_polygons': [points / 3 for points in corners],
                'byte_masks': (masks * 255).astype(np.uint8),
                'layers': (masks * 7).astype(np.uint32),
                'one_mask': masks.any(axis=2),
            }
        )
    ds.commit('masks')


def value_of(sample: Any) -> Any:
    """One sample as Deep Lake 3 reads it, in a form that JSON holds."""
    htype = sample.htype
    if htype in ('text', 'json', 'list'):
        return sample.data()['value']
    array = sample.numpy(aslist=htype == 'polygon')
    if htype == 'polygon':
        return [np.asarray(polygon).tolist() for polygon in array]
    if 'image' in htype or 'mask' in htype:
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return {'shape': list(array.shape), 'dtype': str(array.dtype), 'sha256': digest}
    return {'shape': list(array.shape), 'dtype': str(array.dtype), 'values': array.tolist()}


def bytes_of(sample: Any, value: Any) -> str:
    """Digest of an encoded image as it is stored; empty if there is none, or one that is cut into tiles."""
    if not value['shape'][0]:
        return ''
    try:
        return hashlib.sha256(sample.tobytes()).hexdigest()
    except NotImplementedError:
        return ''


def rows_of(view: Any, *, skip: tuple[str, ...] = (), single: bool = False) -> dict[str, Any]:
    """All samples of all tensors, and the stored bytes of encoded images.

    Args:
        view: Dataset or view.
        skip: Tensors to leave out.
        single: Whether it is one sample (``ds[3]``), which Deep Lake 3 does not take for a view of one row.
    """
    rows = 1 if single else len(view)
    samples = {
        name: [view[name] if single else view[name][row] for row in range(rows)]
        for name in view.tensors
        if name not in skip
    }
    values = {name: [value_of(sample) for sample in items] for name, items in samples.items()}
    encoded = {}
    for name, items in samples.items():
        meta = view[name].meta
        if str(meta.htype).startswith('image') and meta.sample_compression and not meta.is_link:
            encoded[name] = [bytes_of(item, value) for item, value in zip(items, values[name], strict=True)]
    return {'rows': rows, 'values': values, 'bytes': encoded}


def read_history() -> dict[str, Any]:
    ds = deeplake.load('history', read_only=True, verbose=False)
    found: dict[str, Any] = {'commits': {}, 'branches': {}, 'views': {}}
    for branch in ds.branches:
        ds.checkout(branch)
        found['branches'][branch] = rows_of(ds)
        found['commits'].update({commit['commit']: None for commit in ds.commits})
    for commit in found['commits']:
        ds.checkout(commit)
        found['commits'][commit] = rows_of(ds) | {'message': ds.get_commit_details(commit)['message']}
    for version in (*ds.branches, *found['commits']):
        ds.checkout(version)
        for view in ds.get_views():
            single = view.info.get('first-index-subscriptable') is False
            read = rows_of(view.load(), single=single)
            found['views'][view.id] = read | {'commit': view.info['source-dataset-version']}
    return found


def pack(name: str, *folders: str) -> None:
    """Archive a dataset, without the path of this machine, and without the locks that lie there until the end."""
    here = os.getcwd()
    files = [file for folder in (name, *folders) for file in Path(folder).rglob('*') if file.is_file()]
    with tarfile.open(DATA / f'{name}.tar.xz', 'w:xz') as archive:
        for path in sorted(file for file in files if file.suffix != '.lock'):
            content = path.read_bytes().replace(f'{here}/'.encode(), b'')
            for trace in (here, tempfile.gettempdir(), str(Path.home()), str(DATA)):
                assert trace.encode() not in content, (path, trace)
            entry = tarfile.TarInfo(str(path))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def main() -> None:
    assert deeplake.__version__ == '3.9.52', deeplake.__version__
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for make in (make_history, make_columns, make_tiled, make_linked, make_stuck, make_example, make_masks):
            make()
        load = lambda name: deeplake.load(name, read_only=True, verbose=False)  # noqa: E731
        expected = {
            'history': read_history(),
            'columns': rows_of(load('columns')),
            'tiled': rows_of(load('tiled')),
            'linked': rows_of(load('linked')),
            'stuck': rows_of(load('stuck'), skip=('links',)),
            'example': rows_of(load('example')),
            'masks': rows_of(load('masks')),
        }
        DATA.mkdir(exist_ok=True)
        for name in expected:
            pack(name, *(['linked_files'] if name in ('linked', 'stuck') else []))
        text = json.dumps(expected, indent=None, separators=(',', ':'), sort_keys=True)
        (DATA / 'expected.json').write_text(text + '\n')
        os.chdir('/')


if __name__ == '__main__':
    main()
