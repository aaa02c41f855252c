"""A look at the first bytes of all images before anything is written, so that all that are missing are said at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deeplake_mmdet.convert.image_header import HEADER_BYTES
from deeplake_mmdet.convert.images import ImageFault, fetched, image_kind, is_url, missing_file, or_fault, read_file
from deeplake_mmdet.convert.import_source import ImportSource
from deeplake_mmdet.convert.in_order import in_order
from deeplake_mmdet.convert.report import MISSING
from deeplake_mmdet.source.link_address import shown
from deeplake_mmdet.source.links import LinkReader

_TOGETHER = 64  # files a job
_SAMPLE = 16  # images behind URLs of which the format is looked at


@dataclass(frozen=True)
class Scan:
    """What the images are.

    Attributes:
        dtype: Of the pixels: 'uint16' when all are 16-bit PNG, else 'uint8'.
        compression: 'jpeg' or 'png', what the majority is.
        nbytes: Size of each file, int64 (N,); -1 of what is behind a URL.
    """

    dtype: str
    compression: str
    nbytes: np.ndarray


def scan_images(
    source: ImportSource, reader: LinkReader | None, *, workers: int, first: int = 0, tolerant: bool = False
) -> Scan:
    """Looks at the first bytes of all local images, and of a few that are behind URLs.

    Args:
        source: Of the images.
        reader: Of what is behind URLs; None where it is only linked to: their format is then that of their names.
        workers: Threads.
        first: Position of the first image that is looked at.
        tolerant: Pass over what is missing or no image.

    Raises:
        ImageFault: For all files that are missing, in one message; else for the first file that is no image.
        ImportStoppedError: A storage or the network failed.
    """
    nbytes = np.full(len(source), -1, np.int64)
    kinds: Counter[str] = Counter()
    faults: list[ImageFault] = []
    remote: list[str] = []
    jobs = _jobs(source, first, remote)
    for looks in in_order(lambda job: _look_at(job, source.owner), jobs, workers=workers, budget=4 * workers):
        for position, found in looks:
            if isinstance(found, ImageFault):
                faults.append(found)
            else:
                nbytes[position] = found[0]
                kinds[found[1]] += 1
    for kind in _remote_kinds(remote, reader, source.owner):
        if isinstance(kind, ImageFault):
            faults.append(kind)
        else:
            kinds[kind] += 1
    if faults and not tolerant:
        _refuse(faults, len(source) - first, source.owner)
    return Scan(*stored_as(kinds), nbytes)


def _jobs(source: ImportSource, first: int, remote: list[str]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """The local images in handfuls, with their positions; what is behind URLs goes to ``remote``."""
    job: list[tuple[int, str]] = []
    for position in range(first, len(source)):
        location = source.entry(position).location
        if is_url(location):
            remote.append(location)
            continue
        job.append((position, location))
        if len(job) == _TOGETHER:
            yield 1, job
            job = []
    yield 1, job


def _look_at(job: Sequence[tuple[int, str]], owner: str) -> list[tuple[int, tuple[int, str] | ImageFault]]:
    """For each image the size of its file and its format, or what is wrong with it."""

    def look(path: str) -> tuple[int, str]:
        kind = image_kind(read_file(path, owner, HEADER_BYTES), path, owner)
        return os.path.getsize(path), kind

    return [(position, or_fault(partial(look, path))) for position, path in job]


def _remote_kinds(locations: Sequence[str], reader: LinkReader | None, owner: str) -> list[str | ImageFault]:
    """The formats of some of the images behind URLs, or what is wrong with them."""
    if reader is None:
        return ['png' if location.lower().endswith('.png') else 'jpeg' for location in locations]
    sample = locations[:: -(-len(locations) // _SAMPLE) or 1]
    headers = zip(sample, fetched(reader, sample, owner, HEADER_BYTES), strict=True)
    return [
        header if isinstance(header, ImageFault) else or_fault(partial(image_kind, header, shown(location), owner))
        for location, header in headers
    ]


def _refuse(faults: Sequence[ImageFault], total: int, owner: str) -> None:
    missing = [fault for fault in faults if fault.kind == MISSING]
    raise missing_file(owner, missing, total) if missing else faults[0]


def stored_as(kinds: Counter[str]) -> tuple[str, str]:
    """The pixel dtype and the compression of a column for images of these formats, and how many there are of each."""
    png = kinds['png'] + kinds['png16']
    dtype = 'uint16' if kinds['png16'] and kinds['png16'] == kinds.total() else 'uint8'
    return dtype, 'png' if png > kinds['jpeg'] else 'jpeg'
