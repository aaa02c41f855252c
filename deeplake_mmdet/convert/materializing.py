"""A dataset, one of its versions, a view or a query result, copied with the images that it links to into a new dataset.

The copy holds the rows in the order of the selection, once, in full chunks, so that training streams them; what they
were selected from is in its metadata. Rows and versions that were not selected are left behind.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.link_credentials import STORES, LinkCredentials
from deeplake_mmdet.convert.checkpoint import Event
from deeplake_mmdet.convert.clock import Clock
from deeplake_mmdet.convert.copied_check import check_copy, check_views
from deeplake_mmdet.convert.copied_columns import SourceColumn, copied_columns
from deeplake_mmdet.convert.copied_rows import copied_rows
from deeplake_mmdet.convert.copied_views import copied_views
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.format3 import CopyReport
from deeplake_mmdet.convert.image_header import header_size
from deeplake_mmdet.convert.images import differs
from deeplake_mmdet.convert.report import UNREADABLE
from deeplake_mmdet.convert.storage import ImportStoppedError, storing
from deeplake_mmdet.convert.writer import DatasetWriter
from deeplake_mmdet.errors import ConversionError, ImageReadError, SourceError
from deeplake_mmdet.lineage.created import tell_dataset
from deeplake_mmdet.source.handle import SourceHandle

MATERIALIZED_FROM = 'materialized_from'
_CHECKPOINT_S = 30.0
_NAMED = 5  # rows in a remark
_RESIZED = 'images of another size than their rows say'
Progress = Callable[[int, int], None]


def materialize(
    dataset: Mapping[str, Any],
    dst: str | os.PathLike,
    *,
    without: Sequence[str] = (),
    on_error: str = 'raise',
    overwrite: bool = False,
    restart: bool = False,
    credentials: Any = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Copies the rows that a config names into a new dataset, the images behind links as bytes.

    Column types, values and metadata stay as they are; a column of links becomes one of images. A whole dataset keeps
    its saved views of the version that is copied. A copy that was killed goes on when the same call is made again.

    Args:
        dataset: The ``deeplake_*`` keys of a dataset: path, commit, branch, view, query, credentials.
        dst: The dataset to make, a local folder or a URL.
        without: Columns to leave out.
        on_error: ``'raise'``, or ``'skip'`` to leave out rows with an image that cannot be read, and count them.
        overwrite: Replace a local Deep Lake dataset at `dst`.
        restart: Give up an unfinished import at `dst`.
        credentials: What ``deeplake_credentials`` holds in a config, for `dst`; by default those of the source, if
            both are on the same kind of storage.
        progress: Called with the rows done and the rows in all.

    Returns:
        What was copied and what was not.

    Raises:
        ConversionError: The source is of format 3, or has no row; `dst` may not be written; an image cannot be read.
        ColumnError: A column cannot be copied without loss; its name is said.
        ConfigError, SourceError: The source cannot be opened.
    """
    if on_error not in ('raise', 'skip'):
        raise ConversionError(f"materialize(on_error=) expected 'raise' or 'skip', but got {on_error!r}. Choose one.")
    spec = DatasetSpec.from_config(dataset)
    source = SourceHandle.resolve(spec)
    _check_source(source)
    _check_apart(dst, source.revision.uri)
    local = [] if '://' in source.revision.uri else [source.revision.uri]
    given = _credentials_for(dst, source) if credentials is None else credentials
    destination = Destination(dst, overwrite=overwrite, sources=local, credentials=given, owner='materialize')
    columns = copied_columns(source, without)
    report = CopyReport(os.fspath(dst), str(source.revision), columns={item.name: str(item.type) for item in columns})
    writer = DatasetWriter(destination, fingerprint=_fingerprint(source, columns), total=len(source), restart=restart)
    try:
        with writer, storing(destination), _keeping():
            _Copy(source, columns, writer, report, skip=on_error == 'skip').run(progress or (lambda done, total: None))
    except (ImportStoppedError, KeyboardInterrupt) as error:
        if writer.kept:
            kept = f'{writer.checkpoint.done} of {len(source)} rows are kept: run the same command again to go on.'
            error.args = (f'{error} {kept}'.strip(),)
        raise
    tell_dataset('materialized', report.path, report.views, given)
    return report


def _check_source(source: SourceHandle) -> None:
    revision = source.revision
    if revision.format == 3:
        raise ConversionError(
            f'materialize(dataset=) expected a dataset of Deep Lake format 4, but got {revision.uri!r} of format 3. '
            'Copy it with deeplake-mmdet convert v3, which stores the images behind links too.'
        )
    if not len(source):
        raise ConversionError(f'materialize(dataset=) expected rows to copy, but got none: {revision}.')


def _check_apart(dst: str | os.PathLike, source: str) -> None:
    path = os.fspath(dst)
    if '://' not in path:
        path, source = os.path.realpath(os.path.expanduser(path)), os.path.realpath(source)
    if f'{path.rstrip("/")}/'.startswith(f'{source}/') and path.rstrip('/') != source:
        raise ConversionError(
            f'materialize(dst=) expected a place of its own, but got {os.fspath(dst)!r}, which is inside of the '
            'source. Choose another path.'
        )


@contextmanager
def _keeping() -> Iterator[None]:
    """Lets what is copied so far be kept when a storage fails: it is good."""
    try:
        yield
    except SourceError as error:
        raise ImportStoppedError(str(error)) from error


def _credentials_for(dst: str | os.PathLike, source: SourceHandle) -> Credentials:
    """The credentials of the source where they can be for the destination too."""
    store = STORES.get(os.fspath(dst).partition('://')[0], '')
    return LinkCredentials.resolve(None, source.credentials, source.revision.uri).of(store)


def _fingerprint(source: SourceHandle, columns: Sequence[SourceColumn]) -> str:
    """Hash of what decides what is stored."""
    parts = [source.revision.to_strings(), [(column.name, column.is_link) for column in columns]]
    return hashlib.sha256(json.dumps(parts).encode() + source.rows.tobytes()).hexdigest()


class _Copy:
    """One copy under way; see `materialize`."""

    def __init__(
        self,
        source: SourceHandle,
        columns: Sequence[SourceColumn],
        writer: DatasetWriter,
        report: CopyReport,
        *,
        skip: bool,
    ) -> None:
        self._source, self._columns, self._writer, self._report = source, columns, writer, report
        self._skip = skip
        self._events: list[Event] = []  # since the last checkpoint

    def run(self, progress: Progress) -> None:
        """Copies all rows from the last checkpoint on, checks them, and finishes."""
        source, writer = self._source, self._writer
        views, remarks = copied_views(source)
        writer.begin(self._columns, self._metadata())
        if not writer.checkpoint.complete:
            self._rows(progress)
            writer.commit(len(source), self._events, complete=True)
        left_out = np.array(sorted(event.position for event in writer.events if event.left_out), np.int64)
        if len(left_out) == len(source):
            raise ConversionError(f'materialize() expected an image that can be read, but got none: {source.revision}.')
        check_copy(source, writer.stored, self._columns, left_out)
        names = [column.name for column in self._columns]
        whole = set(names) == {column.name for column in source.base().schema.columns}
        selected = {name: view.in_copy(left_out, names, as_query=whole) for name, view in views.items()}
        check_views(writer.stored, selected)
        counts = writer.finish(f'Materialize {source.revision}', {name: view for name, (view, _) in selected.items()})
        self._report.rows, self._report.views = len(source) - len(left_out), counts
        self._report.remarks = [*self._said(left_out), *remarks]

    def _metadata(self) -> dict[str, Any]:
        """The metadata of the source, and where the copy comes from; a copy of a copy says both."""
        kept = self._source.metadata()
        origin: dict[str, Any] = dict(self._source.revision.to_strings())
        if MATERIALIZED_FROM in kept:
            origin[MATERIALIZED_FROM] = kept[MATERIALIZED_FROM]
        return {**kept, MATERIALIZED_FROM: origin}

    def _rows(self, progress: Progress) -> None:
        writer, clock, total = self._writer, Clock(_CHECKPOINT_S), len(self._source)
        progress(writer.checkpoint.done, total)
        for position, row in copied_rows(self._source, self._columns, writer.checkpoint.done):
            if not isinstance(row, ImageReadError):
                writer.append(row)
                self._events += [Event(position, _RESIZED)] if self._is_resized(row) else []
            elif self._skip:
                self._events.append(Event(position, UNREADABLE, left_out=True))
            else:
                raise ImportStoppedError(str(row))
            progress(position + 1, total)
            if clock.is_due() or writer.is_short_of_room:
                writer.commit(position + 1, self._events)
                self._events = []

    def _is_resized(self, row: Mapping[str, Any]) -> bool:
        """Whether an image behind a link is of another size than the row says: it was replaced since."""
        said = (row.get('height'), row.get('width'))
        sizes = [header_size(row[column.name]) for column in self._columns if column.is_link and None not in said]
        return any(size is not None and differs(said, size) for size in sizes)

    def _said(self, left_out: np.ndarray) -> list[str]:
        """What is to be said of images and rows."""
        links = [column.name for column in self._columns if column.is_link]
        said = [f'column {name!r} had links: the images themselves are stored' for name in links]
        if len(left_out):
            said.append(f'{len(left_out)} rows are left out, whose images cannot be read: {self._numbers(left_out)}')
        resized = [event.position for event in self._writer.events if event.kind == _RESIZED]
        if resized:
            said.append(
                f'{len(resized)} images behind links are not of the height and width that their rows say: '
                f'{self._numbers(np.array(resized))}. They were replaced, and boxes may not fit them'
            )
        return said

    def _numbers(self, positions: np.ndarray) -> str:
        """The rows at some positions, of many the first."""
        more = f' and {len(positions) - _NAMED} more' if len(positions) > _NAMED else ''
        return f'{self._source.rows[positions[:_NAMED]].tolist()}{more}'
