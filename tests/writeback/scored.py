"""Results that are made from the content of images, so that a result in the wrong row is seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import deeplake
import numpy as np

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.scoring.values import Part
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.writeback.target import Target, Written

CLASSES = ('cat', 'dog')
COLUMNS = ('loss', 'tp', 'boxes', 'labels', 'scores', 'object_error', 'missed_by_class', 'masks')
GROUP = 'model_evaluation/'
FACTS = {'checkpoint_sha256': 'ab12', 'branch': 'main', 'empty': ''}


def opened(path: str, **keys: Any) -> SourceHandle:
    """What a dataset's config names; keys without their ``deeplake_``."""
    config = {f'deeplake_{key}': value for key, value in {'path': path, **keys}.items()}
    return SourceHandle.resolve(DatasetSpec.from_config(config))


def number_of(image: bytes, salt: str = '') -> int:
    """A number that an image has for itself."""
    return int(hashlib.sha256(image + salt.encode()).hexdigest()[:4], 16)


def result_of(image: bytes, salt: str = '') -> dict[str, Any]:
    """The results of a row; boxes are xyxy."""
    number = number_of(image, salt)
    rng, count = np.random.default_rng(number), number % 4
    corner = rng.integers(0, 10, (count, 2)).astype('float32')
    return {
        'loss': None if number % 11 == 0 else number / 8,
        'tp': number,
        'boxes': np.concatenate([corner, corner + 3], 1),
        'labels': rng.integers(0, 2, count).astype('int64'),
        'scores': np.where(np.arange(count) == 1, np.nan, number / 7).astype('float32'),
        'object_error': np.arange(number % 3),
        'missed_by_class': np.array([number % 5, 1]),
        'masks': [{'size': [16, 20], 'counts': f'{number + k}'.encode()} for k in range(count)],
    }


def parts_of(
    source: SourceHandle,
    *,
    size: int = 3,
    columns: Sequence[str] = COLUMNS,
    places: Sequence[int] | None = None,
    salt: str = '',
) -> Iterator[Part]:
    """Results of the rows of a selection, in mixed order."""
    chosen = np.arange(len(source)) if places is None else np.array(places, np.int64)
    chosen = np.random.default_rng(0).permutation(chosen)
    for start in range(0, len(chosen), size):
        some = chosen[start : start + size]
        results = [result_of(image, salt) for image in source.read('images', source.rows[some].tolist())]
        yield Part(some, {name: [result[name] for result in results] for name in columns})


def write(source: SourceHandle, branch: str | None = 'scores', **changes: Any) -> Written:
    """Write the results of a selection."""
    given = {key: changes.pop(key) for key in ('to', 'run') if key in changes}
    target = Target.of(source, None, branch=branch, **given)
    message = changes.pop('message', 'scored')
    columns = changes.get('columns', COLUMNS)
    return target.write(parts_of(source, **changes), classes=CLASSES, columns=columns, message=message, facts=FACTS)


def head(path: str, branch: str | None = None, creds: Mapping[str, str] | None = None) -> Any:
    """A branch with Deep Lake alone."""
    dataset = deeplake.open_read_only(path, creds=dict(creds or {}))
    return dataset if branch in (None, 'main') else deeplake.open_read_only(f'{path}@{branch}', creds=dict(creds or {}))


def branches(path: str, **creds: Any) -> list[str]:
    """The names of all branches."""
    dataset = head(path, **creds)
    return sorted(dataset.branches.names())


def messages(path: str, branch: str) -> list[str]:
    """The messages of the commits of a branch, the newest last."""
    dataset = head(path, branch)
    return [version.message for version in dataset.history]


def columns_of(path: str, branch: str) -> list[str]:
    """The names of the columns of a branch."""
    dataset = head(path, branch)
    return [column.name for column in dataset.schema.columns]


def stored(value: Any) -> Any:
    """The result of a row in plain numbers, as Deep Lake has it: boxes left, top, width, height."""
    boxes = value['boxes'].copy()
    boxes[:, 2:] -= boxes[:, :2]
    masks = [{'size': mask['size'], 'counts': mask['counts'].decode()} for mask in value['masks']]
    return {**value, 'boxes': boxes, 'masks': masks}


def assert_right(
    path: str, rows: set[int], *, branch: str = 'scores', prefix: str = GROUP, salt: str = '', **creds: Any
) -> None:
    """Every one of these rows has the results of its own image, and all others have none."""
    dataset = head(path, branch, **creds)
    for row in range(len(dataset)):
        got = {name: dataset[prefix + name][row] for name in COLUMNS}
        if row not in rows:
            assert all(value is None for value in got.values()), row
            continue
        want = stored(result_of(bytes(dataset['images'].get_bytes(row)), salt))
        got['masks'] = json.loads(got['masks'])
        assert got.pop('masks') == want.pop('masks')
        for name, value in want.items():
            if value is None:
                assert got[name] is None
            else:
                np.testing.assert_array_equal(got[name], np.asarray(value, got[name].dtype), err_msg=f'{row} {name}')


def digest(path: str, branch: str | None = None, **creds: Any) -> str:
    """Of everything that a version has: schema, metadata, and all values of all rows."""
    dataset = head(path, branch, **creds)
    state = hashlib.sha256(repr(dataset.metadata.to_dict()).encode())
    for column in dataset.schema.columns:
        metadata = dataset[column.name].metadata.to_dict()
        state.update(repr((column.name, str(column.dtype), metadata)).encode())
        for row in range(len(dataset)):
            value = dataset[column.name]
            state.update(value.get_bytes(row) if column.name == 'images' else repr(value[row]).encode())
    return state.hexdigest()
