"""The rows that queries select of one version, and what is in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.column_types import metadata_of
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.null_order import without_nulls
from deeplake_mmdet.source.numbered import Numbered
from deeplake_mmdet.source.query import run_query
from deeplake_mmdet.source.query_checks import check_conditions
from deeplake_mmdet.source.tql_text import is_random
from deeplake_mmdet.source.waiting import QUERY_DEADLINE_S, wait
from deeplake_mmdet.versions.opening import Place
from deeplake_mmdet.versions.reading import label_column, pieces
from deeplake_mmdet.versions.writable import base_to_save

_ROWS_AT_ONCE = 65536
_NONE = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class ClassCount:
    """One class in a selection.

    Attributes:
        name: Of the class; the number of a label that has no name.
        images: Rows of the selection with such an object.
        objects: Objects of this class in the selection.
        of_all: The same in all rows of the version or view.
    """

    name: str
    images: int
    objects: int
    of_all: int


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of one version or view; `select` makes it.

    Attributes:
        config: The ``deeplake_*`` keys that name the version or view, pinned to its commit.
        queries: The queries; empty where all rows are selected.
        source: The version or view, with all its rows.
        rows: Numbers of the selected rows in it, int64 of shape (N,), in the order of the result.
        view: The Deep Lake view of these rows. Keep the selection as long as it is used.
        labels: Name of the column of labels, or None where there is none, or several.
        is_cut: Whether a limit left out rows that the queries select.
        to_save: Whether `view` can be saved, also where it is of another branch than the main one.
        remarks: What was noticed on opening the version and on reading the queries.
        parents: Whatever must be kept for `view` to be read.
    """

    config: Mapping[str, Any]
    queries: tuple[str, ...]
    source: SourceHandle
    rows: np.ndarray
    view: Any
    labels: str | None
    is_cut: bool = False
    to_save: bool = False
    remarks: tuple[str, ...] = ()
    parents: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def positions(self) -> np.ndarray:
        """Where the selected rows stand among all rows of `source`, int64 (N,)."""
        order = np.argsort(self.source.rows, kind='stable')
        return order[np.searchsorted(self.source.rows[order], self.rows)]

    @cached_property
    def classes(self) -> tuple[ClassCount, ...]:
        """Each class with its images and objects, in label order; empty where no column has labels.

        Raises:
            SourceError: The storage failed.
        """
        counts: dict[str, np.ndarray] = {name: np.zeros(3, np.int64) for name in self._names}
        chosen = np.zeros(len(self.source), bool)
        chosen[self.positions] = True
        for start, labels in self._labels_of_all():
            rows = np.repeat(np.arange(start, start + len(labels)), [len(items) for items in labels])
            values, numbers = np.unique(np.concatenate(labels), return_inverse=True)
            inside = chosen[rows]
            pairs = np.unique(rows[inside] * len(values) + numbers[inside])
            images = np.bincount(pairs % max(1, len(values)), minlength=len(values))
            objects, of_all = (np.bincount(found, minlength=len(values)) for found in (numbers[inside], numbers))
            for value, *count in zip(values.tolist(), images, objects, of_all, strict=True):
                name = self.class_name(value)
                counts[name] = counts.get(name, np.zeros(3, np.int64)) + count
        return tuple(ClassCount(name, *count.tolist()) for name, count in counts.items())

    def class_name(self, label: Any) -> str:
        """The name of a stored label; labels without a name go by their number."""
        is_named = not isinstance(label, str) and 0 <= label < len(self._names)
        return self._names[int(label)] if is_named else str(label)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return () if self.labels is None else metadata_of(self.source.base()[self.labels], 'class_names', str) or ()

    def _labels_of_all(self) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The labels of all rows, piece by piece: the first position, and the labels of each row from there."""
        for piece in pieces(len(self.source), _ROWS_AT_ONCE) if self.labels else ():
            read = self.source.read_column(str(self.labels), piece.start, piece.stop)
            yield piece.start, [_NONE if labels is None else np.asarray(labels).reshape(-1) for labels in read]


def select(
    config: Mapping[str, Any], queries: Sequence[str] = (), *, limit: int | None = None, to_save: bool = False
) -> Selection:
    """Run queries on a version or view.

    Several queries select the rows that any of them selects, once each, in the order of the version or view.

    Args:
        config: The ``deeplake_*`` keys of a dataset, without a query.
        queries: TQL; without one, all rows are selected.
        limit: The most rows that are selected: the first ones of the result.
        to_save: Whether the rows will be saved as a view, see `deeplake_mmdet.versions.saving.save_view`.

    Raises:
        ConfigError: A key is wrong, or `limit` is no positive number.
        QueryError: See `deeplake_mmdet.source.query.run_query`; or the rows are to be saved, and Deep Lake cannot.
        SourceError: The dataset or the version cannot be opened.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f'select(limit=) expected a positive number of rows, but got {limit}.')
    if config.get('deeplake_query'):
        raise ConfigError('select(config=) expected no deeplake_query. Give queries=(…) instead.')
    spec = DatasetSpec.from_config(config)
    source = SourceHandle.resolve(spec)
    pinned = pinned_config(config, source)
    runner = _Runner(source, pinned, to_save=to_save)
    with runner.place.guarded('The query'):
        found = [runner.run(query) for query in queries]
        rows, view = runner.joined(found)
        is_cut = limit is not None and limit < len(rows)
        if is_cut:
            runner.parents.append(view)
            rows, view = rows[:limit], runner.wait(view.query_async(f'select * limit {limit}'))
    return Selection(
        config=pinned,
        queries=tuple(queries),
        source=source,
        rows=rows,
        view=view,
        labels=label_column(source, spec.tensors.get('gt_labels')),
        is_cut=is_cut,
        to_save=to_save,
        remarks=tuple(dict.fromkeys([*source.remarks, *runner.remarks])),
        parents=tuple(runner.parents),
    )


def pinned_config(config: Mapping[str, Any], source: SourceHandle) -> dict[str, Any]:
    """The keys by which exactly the opened version or view is opened again."""
    revision = source.revision
    pins = {
        'deeplake_path': revision.uri,
        'deeplake_branch': revision.branch,
        'deeplake_commit_id': revision.commit_id,
        'deeplake_view_id': revision.view_id,
    }
    return {**config, **{key: value for key, value in pins.items() if value}}


class _Runner:
    """Runs queries, so that the rows are known by number and can be saved.

    Args:
        source: The version or view.
        config: The keys that name it.
        to_save: Whether rows will be saved.
    """

    def __init__(self, source: SourceHandle, config: Mapping[str, Any], *, to_save: bool) -> None:
        self.place = Place.of(source.revision.uri, config.get('deeplake_credentials'))
        self.remarks: list[str] = []
        self._source, self._config = source, config
        self._patience = QUERY_DEADLINE_S if self.place.location.is_remote else math.inf
        self._base, self.parents = source.base(), list[Any]([source])
        if to_save:
            self._base, self.parents = base_to_save(self.place, source)

    def wait(self, future: Any) -> Any:
        return wait(future, 'The query', self._patience)

    def run(self, query: str) -> tuple[np.ndarray, Any]:
        """The numbers of the rows that one query selects, and these rows in a form that can be saved.

        Deep Lake saves the numbers of rows and the text of the last query; so that should be the user's.
        """
        if self._source.revision.format == 3:  # read with checks of its own, and never saved
            found = SourceHandle.resolve(DatasetSpec.from_config({**self._config, 'deeplake_query': query}))
            self.remarks += found.remarks
            return found.rows, found.selection()
        self.remarks += check_conditions(query, self._base)
        query, left_out = without_nulls(query, self._base, self._patience)
        self.remarks += left_out
        numbered, rows = run_query(self._base, query, self._patience)
        self.parents.append(numbered)
        # Rows that are drawn by lot are drawn once.
        return rows, numbered if is_random(query) else self.wait(self._base.query_async(query))

    def joined(self, found: Sequence[tuple[np.ndarray, Any]]) -> tuple[np.ndarray, Any]:
        """The rows of all queries, or all rows without one."""
        if len(found) == 1:
            return found[0]
        if not found:
            return self._source.rows, self.wait(self._base.query_async('select *'))
        rows = self._source.rows
        rows = rows[np.isin(rows, np.concatenate([own for own, _ in found]))]
        only = Numbered(self._base, 'the union', self._patience).only(rows)
        self.parents += [only, *(view for _, view in found)]
        return rows, self.wait(only.query_async('select *'))
