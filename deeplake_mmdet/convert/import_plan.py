"""What an import is going to write, decided and checked before it writes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deeplake import types

from deeplake_mmdet.convert.added_to import AddedTo
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.image_scan import Scan, scan_images
from deeplake_mmdet.convert.import_source import ImportSource
from deeplake_mmdet.convert.in_order import default_workers
from deeplake_mmdet.convert.options import ImportOptions
from deeplake_mmdet.convert.report import MEASURED
from deeplake_mmdet.convert.schema import Column, image_columns
from deeplake_mmdet.convert.views import View
from deeplake_mmdet.convert.writer import DatasetWriter
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.source.links import LinkReader


@dataclass(frozen=True)
class Plan:
    """What an import writes.

    Attributes:
        columns: Of a row.
        metadata: Of the dataset.
        views: By name.
        first_id: Of images that have no id of their own.
        nbytes: Size of each image file that is still to be read, int64 (N,); -1 where it is not known.
        workers: Threads.
    """

    columns: Sequence[Column]
    metadata: Mapping[str, Any]
    views: Mapping[str, View]
    first_id: int
    nbytes: np.ndarray
    workers: int


def plan_import(
    source: ImportSource, options: ImportOptions, destination: Destination, writer: DatasetWriter, reader: LinkReader
) -> Plan:
    """Looks at the dataset that is added to, if any, and at the images.

    Args:
        source: Of the annotations.
        options: Of the import.
        destination: Where to.
        writer: To it, before anything is written.
        reader: Of what is behind URLs.

    Raises:
        ConversionError: The dataset and the source do not go together, or images are missing.
        ImportStoppedError: A storage failed.
    """
    workers = options.workers or default_workers()
    base = AddedTo(destination.open(destination.url), destination.path) if options.append else None
    columns = base.columns(source, link=options.link) if base else []
    first_id = writer.checkpoint.first_id
    if base and source.numbered and not writer.is_resumed:
        first_id = base.next_id
    views = {name: view.moved(first_id) for name, view in source.views.items()}
    if base and not writer.is_resumed:
        base.check_new(source, views)
    scan = scan_images(
        source,
        None if options.link else reader,
        workers=workers,
        first=writer.checkpoint.done,
        tolerant=options.on_error == 'skip',
    )
    if base and not options.link and not writer.is_resumed:
        base.check_pixels(scan.dtype)
    columns = columns or _columns(source, scan, options)
    metadata = base.merged(source.metadata) if base else source.metadata
    return Plan(columns, metadata, views, first_id, scan.nbytes, workers)


def _columns(source: ImportSource, scan: Scan, options: ImportOptions) -> list[Column]:
    images, *others = image_columns(scan.dtype, scan.compression)
    if options.link:
        metadata = {'link_creds': options.link_creds} if options.link_creds else {}
        images = Column('images', types.Link(images.type), 'text', 0, metadata)
    return source.columns([images, *others])


def check_goes_on(writer: DatasetWriter, options: ImportOptions) -> None:
    """Refuses to go on with stricter options than those by which images were left out or measured before.

    Raises:
        ConversionError: It says which option is missing.
    """
    left_out = sum(event.left_out for event in writer.events)
    measured = sum(event.kind == MEASURED for event in writer.events)
    for name, option, wanted, count in (
        ('on_error', options.on_error, 'skip', left_out),
        ('sizes', options.sizes, 'measured', measured),
    ):
        if count and option != wanted:
            flag = f'--{name.replace("_", "-")} {wanted}'
            raise ConversionError(
                f'convert({name}=) expected {wanted!r}, as the run before had it, which {count} images depend on, but '
                f'got {option!r}. Pass {flag}, or give up what is there with --restart (restart=True).'
            )
