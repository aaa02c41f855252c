"""Reading annotations through the cache, and comparing what comes out with what was read anew."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.annotations.build import build_index
from deeplake_mmdet.annotations.cache.cached import cached_index
from deeplake_mmdet.annotations.cache.mapped import MappedArray
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.columns import map_columns
from deeplake_mmdet.source.handle import SourceHandle

DERIVED = ('usable', 'asked_for', 'nonempty', 'class_counts', 'digest')


def read(
    path: str, classes: Sequence[str] | None = None, *, more: Mapping[str, Any] | None = None, **keys: Any
) -> tuple[AnnotationIndex, list[str]]:
    """What `cached_index` gives of a dataset named by config keys; `more` are further arguments of it."""
    return _read(cached_index, path, classes, keys, more or {})


def read_anew(path: str, classes: Sequence[str] | None = None, **keys: Any) -> tuple[AnnotationIndex, list[str]]:
    """The same without a cache."""
    return _read(build_index, path, classes, keys, {})


def _read(build: Any, path: str, classes: Any, keys: Mapping[str, Any], more: Mapping[str, Any]) -> Any:
    spec = DatasetSpec.from_config({'deeplake_path': path, **keys})
    source = SourceHandle.resolve(spec)
    columns = map_columns(source.base(), source.selection(), spec.tensors, source.scalars)
    return build(source, columns, classes=classes, box_format=spec.bbox_format, **more)


def is_cached(index: AnnotationIndex) -> bool:
    """Whether an index is in a file that other processes map."""
    return isinstance(index.boxes, MappedArray)


def assert_same(one: AnnotationIndex, other: AnnotationIndex) -> None:
    """Every number, text and type is the same, and so is all that is computed from them."""
    for name in (*(field.name for field in fields(one)), *DERIVED):
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(b, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            assert np.array_equal(a, b), name
        elif name == 'img_ids':
            assert a.tolist() == b.tolist()
        else:
            assert (a, type(a)) == (b, type(b)), name


def folder() -> Path:
    """The folder of the cached indexes."""
    return Path(os.environ['DEEPLAKE_MMDET_CACHE']) / 'index'


def files(suffix: str = '.index') -> list[Path]:
    """What is in it."""
    return sorted(folder().glob(f'*{suffix}'))


def the_file() -> Path:
    """The only index there."""
    (file,) = files()
    return file


def read_and_report(connection: Any, path: str) -> None:
    """In a child process: send how often it read the annotations, whether they are cached now, and their digest."""
    from deeplake_mmdet.annotations.cache import cached

    built = []
    original = cached.build_index
    cached.build_index = lambda *args, **kwargs: built.append(1) or original(*args, **kwargs)
    index, _ = read(path)
    connection.send((len(built), is_cached(index), index.digest))
