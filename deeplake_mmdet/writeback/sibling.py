"""Results in a dataset of their own, for datasets that cannot be written: one row for each row that was scored.

The column ``row`` is the row's number in the scored commit, by which the results find back to their images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.storage import check_room, storing
from deeplake_mmdet.source.column_types import kind_of
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.revision import Revision
from deeplake_mmdet.versions.applying import commit_dataset
from deeplake_mmdet.versions.reading import LIGHT_ROWS, columns_of, pieces
from deeplake_mmdet.writeback.committing import Results
from deeplake_mmdet.writeback.filling import Filling

# Metadata of the dataset: the scored version.
SCORED = 'scored'
_IDS = ('img_id', 'image_id')
_INTEGERS = ('int64', 'int32', 'uint32')


class Sibling:
    """A new dataset for results.

    Args:
        path: A local folder or a URL, where nothing is.
        credentials: What ``deeplake_credentials`` holds.
        source: What is scored.

    Raises:
        ConversionError: It cannot be made there.
    """

    def __init__(self, path: str, credentials: Any, source: SourceHandle) -> None:
        sources = [source.revision.uri] if '://' not in source.revision.uri else []
        self._destination = Destination(path, sources=sources, credentials=credentials, owner='Target.of')
        self._source = source

    def write(self, rows: np.ndarray, results: Results, message: str) -> tuple[Revision, int]:
        """Write the dataset, with all results or not at all.

        Args:
            rows: Of each place, the row of the commit, int64 (N,).
            results: What is written.
            message: Of the commit.

        Returns:
            What was made, and how many rows have results.

        Raises:
            ConversionError: Something is there by now, the storage failed or is full, or it gives back other values.
        """
        destination = self._destination
        with self._place():
            with storing(destination):
                filling = self._fill(rows, results, message)
            made = self._opened(destination.workplace)
            if differs := filling.difference(made):
                destination.refuse('a dataset that keeps what is written', differs, 'Choose another disk')
            del made
            destination.keep()
            return self._opened(destination.url).revision, int(filling.written.sum())

    @contextmanager
    def _place(self) -> Iterator[None]:
        destination = self._destination
        destination.begin()
        try:
            destination.check_free()
            yield
        except BaseException:
            destination.discard()
            raise
        finally:
            destination.release()

    def _fill(self, rows: np.ndarray, results: Results, message: str) -> Filling:
        destination = self._destination
        blank = destination.open(destination.workplace, writable=True)  # of a process that was killed, on S3
        dataset = destination.create() if blank is None else blank
        try:
            ids = self._ids()
            for name in ('row', *ids):
                dataset.add_column(name, 'int64')
            for piece in pieces(len(rows), LIGHT_ROWS):
                numbers = {name: values[piece] for name, values in ids.items()}
                dataset.append({'row': rows[piece].astype(np.int64), **numbers})
            dataset.metadata[SCORED] = json.dumps(self._source.revision.to_strings())
            filling = Filling(results.columns, len(rows))
            results.add_columns(dataset)
            results.fill(dataset, filling, np.arange(len(rows)), partial(check_room, destination))
            commit_dataset(dataset, message)
        except BaseException:
            dataset.rollback()
            with suppress(Exception):  # a dropped handle commits in the background, which makes its folder again;
                dataset.commit()  # here there is nothing left to commit
            raise
        return filling

    def _ids(self) -> dict[str, np.ndarray]:
        """The ids of the scored images, int64 (N,), by the name of their column; nothing where there are none."""
        source = self._source
        types: Mapping[str, Any] = columns_of(source)
        for name in _IDS:
            dtype = types.get(name)
            if dtype is None or kind_of(dtype) != 'Generic' or str(dtype) not in _INTEGERS:
                continue
            read = [source.read_column(name, piece.start, piece.stop) for piece in pieces(len(source), LIGHT_ROWS)]
            return {name: np.concatenate([np.asarray(values, np.int64) for values in read])} if read else {}
        return {}

    def _opened(self, url: str) -> SourceHandle:
        return SourceHandle.resolve(DatasetSpec(Location(url), self._destination.credentials))
