"""`cached_index`: the annotations of a revision, read once a node.

The first process reads them and writes the index; others that start meanwhile wait for it, and map the same pages. A
cache that cannot be used costs a line in the log, never a run: every process then reads the annotations by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deeplake_mmdet.annotations.build import build_index
from deeplake_mmdet.annotations.cache.entry import Entry, not_cached
from deeplake_mmdet.annotations.cache.folder import cache_folder, size_limit
from deeplake_mmdet.annotations.cache.index_file import index_in
from deeplake_mmdet.annotations.cache.key import key_of
from deeplake_mmdet.annotations.index import AnnotationIndex
from deeplake_mmdet.annotations.labels import class_names
from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.source.columns import ColumnMap
from deeplake_mmdet.source.handle import SourceHandle


def cached_index(
    source: SourceHandle,
    columns: ColumnMap,
    *,
    classes: Sequence[str] | str | None = None,
    box_format: BoxFormat | None = None,
    complete_sizes: Callable[[np.ndarray], None] = lambda sizes: None,
    on_error: str = 'raise',
) -> tuple[AnnotationIndex, list[str]]:
    """What `build_index` gives, from the cache where that is possible; `source` then shares its row numbers.

    Args:
        source, columns, classes, box_format, complete_sizes: See `build_index`.
        on_error: What `complete_sizes` does about images that it cannot read: another index is kept for each way.

    Returns:
        The index, and remarks for the log.

    Raises:
        ConfigError: ``DEEPLAKE_MMDET_CACHE_SIZE`` is no size.
        AnnotationError, ColumnError, ConfigError, SourceError: See `build_index`.
    """
    names = class_names(columns.class_names, classes)

    def build() -> tuple[AnnotationIndex, list[str]]:
        return build_index(source, columns, classes=names, box_format=box_format, complete_sizes=complete_sizes)

    size_limit()
    folder = cache_folder()
    key = None if folder is None else key_of(source, columns, (names, box_format, on_error))
    if folder is None or key is None:
        return build()
    entry = Entry(folder, key)
    file = entry.find()
    if file is None:
        with entry.locked() as trouble:
            file = entry.find(unchecked=True)  # another process may have made it meanwhile
            if file is None:
                index, remarks = build()
                file = None if trouble else entry.write(index, remarks[len(source.remarks) :])
                if file is None:
                    return index, [*remarks, *(entry.remarks or [not_cached(trouble)])]
    index = index_in(file)
    source.share_rows(index.rows)
    return index, [*source.remarks, *file.words['remarks'], *entry.remarks, f'The annotations are cached: {file.path}.']
