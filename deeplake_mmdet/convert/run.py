"""One importer for all formats: reads the images of an `ImportSource`, and writes its rows, views and metadata.

Annotations are known and checked before; images are read in threads, looked at, and stored as they are. Now and then
all rows so far are kept, so that an import that was killed goes on there when the same command is run again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.convert.checkpoint import Event
from deeplake_mmdet.convert.clock import Clock
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.image_reading import ImageReading, ReadImage
from deeplake_mmdet.convert.images import ImageFault
from deeplake_mmdet.convert.import_plan import Plan, check_goes_on, plan_import
from deeplake_mmdet.convert.import_rows import ImportRows
from deeplake_mmdet.convert.import_source import ImageEntry, ImportSource
from deeplake_mmdet.convert.options import ImportOptions
from deeplake_mmdet.convert.report import ConversionReport
from deeplake_mmdet.convert.storage import ImportStoppedError
from deeplake_mmdet.convert.writer import DatasetWriter
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.lineage.created import tell_dataset
from deeplake_mmdet.source.links import LinkReader

Progress = Callable[[int, int], None]


def run_import(
    source: ImportSource,
    dst: str | os.PathLike,
    *,
    sources: Sequence[str | Path] = (),
    progress: Progress | None = None,
    **options: Any,
) -> ConversionReport:
    """Makes a dataset from annotated images, or adds them to one.

    Args:
        source: What to read.
        dst: The dataset, a local folder or a URL.
        sources: Local files and folders that are being read, which the destination must not contain.
        progress: Called with the images done and the images in all; first with those that an earlier run had done.
        **options: Those of `ImportOptions`.

    Returns:
        What was written and what was odd about it.

    Raises:
        ConversionError: When an image is missing or unreadable, or ``dst`` may not be written; nothing is left of the
            import, unless another run can go on with it (`ImportStoppedError`): then the message says so.
    """
    chosen = ImportOptions.of(options)
    destination = _destination(dst, sources, chosen)
    report = ConversionReport(os.fspath(dst), source.class_names, strict=chosen.strict)
    fingerprint = fingerprint_of(source, chosen)
    writer = DatasetWriter(destination, fingerprint=fingerprint, total=len(source), restart=chosen.restart)
    try:
        with writer:
            _Import(source, chosen, writer, report, progress or (lambda done, total: None)).run(destination)
    except (ImportStoppedError, KeyboardInterrupt) as error:
        if writer.kept:
            kept = f'{writer.checkpoint.done} of {len(source)} images are kept: run the same command again to go on.'
            error.args = (f'{error} {kept}'.strip(),)
        raise
    tell_dataset('converted', report.path, report.views, chosen.credentials)
    return report


def check_destination(dst: str | os.PathLike, *, sources: Sequence[str | Path] = (), **options: Any) -> None:
    """Refuses at once what `run_import` would refuse when all annotations are read.

    Args:
        dst, sources, **options: As of `run_import`.

    Raises:
        ConversionError: ``dst`` may not be written, or options make no sense.
    """
    _destination(dst, sources, ImportOptions.of(options))


def _destination(dst: str | os.PathLike, sources: Sequence[str | Path], options: ImportOptions) -> Destination:
    return Destination(
        dst,
        overwrite=options.overwrite,
        append=options.append,
        sources=sources,
        credentials=options.credentials,
    )


def fingerprint_of(source: ImportSource, options: ImportOptions) -> str:
    """Hash of what is imported, and of the options that decide what is stored of it."""
    parts = (source.fingerprint, options.zero_area, options.link, options.link_creds, options.append)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class _Import:
    """One import under way; see `run_import`."""

    def __init__(
        self,
        source: ImportSource,
        options: ImportOptions,
        writer: DatasetWriter,
        report: ConversionReport,
        progress: Progress,
    ) -> None:
        self._source, self._options, self._writer = source, options, writer
        self._report, self._progress = report, progress
        self._events: list[Event] = []  # since the last checkpoint

    def run(self, destination: Destination) -> None:
        """Imports all images from the last checkpoint on."""
        writer, source, report = self._writer, self._source, self._report
        self._progress(writer.checkpoint.done, len(source))
        check_goes_on(writer, self._options)
        reader = LinkReader(Credentials.from_config(self._options.credentials))
        plan = plan_import(source, self._options, destination, writer, reader)
        writer.begin(plan.columns, plan.metadata, plan.first_id)
        rows = ImportRows(source, self._options, plan.columns, report, plan.first_id)
        if writer.is_resumed:
            self._recall(rows)
        self._read(rows, plan, reader)
        if not report.rows:
            raise ConversionError(
                f'{source.owner} expected an image that can be stored, but got none. Correct the folder of the images.'
            )
        report.views = writer.finish(source.message, plan.views, events=self._events)

    def _recall(self, rows: ImportRows) -> None:
        """Counts what an earlier run stored, so that the report is that of the whole import.

        Raises:
            ImportStoppedError: The report is strict, and the earlier run was not.
        """
        writer = self._writer
        self._report.resumed_at = writer.checkpoint.done
        base, end = writer.checkpoint.base, writer.checkpoint.rows
        sizes = iter(zip(*(writer.stored[side][base:end].tolist() for side in ('height', 'width')), strict=True))
        left_out = {event.position for event in writer.events if event.left_out}
        try:
            for event in writer.events:
                self._report.note(event.kind, self._source.entry(event.position).file_name)
            for position in range(writer.checkpoint.done):
                if position not in left_out:
                    rows.row(position, self._source.entry(position), next(sizes), b'')
        except ConversionError as error:
            raise ImportStoppedError(str(error)) from error

    def _read(self, rows: ImportRows, plan: Plan, reader: LinkReader) -> None:
        clock, link, measure = Clock(self._options.checkpoint_s), self._options.link, self._options.sizes == 'measured'
        reading = ImageReading(self._source, plan.nbytes, reader, link=link, measure=measure, workers=plan.workers)
        with closing(reading.read(self._writer.checkpoint.done)) as images:
            for image in images:
                self._take(rows, image)
                self._progress(image.position + 1, len(self._source))
                if clock.is_due() or self._writer.is_short_of_room:
                    self._writer.commit(image.position + 1, self._events)
                    self._events = []

    def _take(self, rows: ImportRows, image: ReadImage) -> None:
        """Stores an image, or leaves it out when it has a fault and options say so."""
        try:
            self._store(rows, image)
        except ImageFault as fault:
            if self._options.on_error == 'raise':
                raise
            self._note(Event(image.position, fault.kind, left_out=True), image.entry)

    def _store(self, rows: ImportRows, image: ReadImage) -> None:
        if isinstance(image.found, ImageFault):
            raise image.found
        size_hw, remark = rows.size(image.entry, image.found)
        for kind in (*image.found.remarks, *([remark] if remark else [])):
            self._note(Event(image.position, kind), image.entry)
        self._writer.append(rows.row(image.position, image.entry, size_hw, image.found.data))

    def _note(self, event: Event, entry: ImageEntry) -> None:
        self._events.append(event)
        self._report.note(event.kind, entry.file_name)
