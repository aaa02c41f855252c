"""Reading the images of an import in threads: in order, and with a bound on the bytes that are in memory at once.

Neighbours are read by one job, since a job costs more than a small file. How large a local file is, is known before;
what is behind a URL is taken to be as large as what was behind those before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from deeplake_mmdet.convert.images import (
    ImageFault,
    Picture,
    fetched,
    is_url,
    look_at,
    look_at_file,
    or_fault,
    read_file,
)
from deeplake_mmdet.convert.import_source import ImageEntry, ImportSource
from deeplake_mmdet.convert.in_order import in_order
from deeplake_mmdet.source.link_address import shown
from deeplake_mmdet.source.links import LinkReader

BUDGET_BYTES = 64 * 2**20
_JOB_BYTES, _JOB_FILES = 2 * 2**20, 32
_FIRST_GUESS = 4 * 2**20  # bytes of an image behind a URL, before one was read
_HEADER = 64 * 2**10  # bytes of an image, which tell its size


@dataclass(frozen=True)
class ReadImage:
    """One image, and what was read of it or is wrong with it."""

    position: int
    entry: ImageEntry
    found: Picture | ImageFault


class ImageReading:
    """Reads the images of a source.

    Args:
        source: Of the images.
        nbytes: Size of each file, int64 (N,); -1 where it is not known.
        reader: Of what is behind URLs.
        link: Only measure the images: all local ones, and those behind URLs as `measure` says.
        measure: Measure linked images behind URLs though the annotations tell their size.
        workers: Threads.
    """

    def __init__(
        self,
        source: ImportSource,
        nbytes: np.ndarray,
        reader: LinkReader,
        *,
        link: bool,
        measure: bool,
        workers: int,
    ) -> None:
        self._source, self._nbytes, self._reader = source, nbytes, reader
        self._link, self._measure, self._workers = link, measure, workers
        self._guess = _FIRST_GUESS

    def read(self, first: int) -> Generator[ReadImage, None, None]:
        """The images from a position on, in order.

        Raises:
            ImportStoppedError: A storage or the network failed.
        """
        jobs = self._jobs(first)
        with closing(in_order(self._read_job, jobs, workers=self._workers, budget=BUDGET_BYTES)) as results:
            for images in results:
                yield from images

    def _jobs(self, first: int) -> Iterator[tuple[int, list[tuple[int, ImageEntry]]]]:
        job: list[tuple[int, ImageEntry]] = []
        cost = 0
        for position in range(first, len(self._source)):
            entry = self._source.entry(position)
            size = self._cost(position)
            if job and (cost + size > _JOB_BYTES or len(job) == _JOB_FILES):
                yield cost, job
                job, cost = [], 0
            job.append((position, entry))
            cost += size
        yield cost, job

    def _cost(self, position: int) -> int:
        if self._link:
            return _HEADER
        known = int(self._nbytes[position])
        return known if known >= 0 else self._guess

    def _read_job(self, job: list[tuple[int, ImageEntry]]) -> list[ReadImage]:
        arrived = iter(self._fetch([entry.location for _, entry in job if self._is_fetched(entry)]))
        return [ReadImage(position, entry, or_fault(partial(self._look, entry, arrived))) for position, entry in job]

    def _is_fetched(self, entry: ImageEntry) -> bool:
        unsaid = self._measure or entry.height is None or entry.width is None
        return is_url(entry.location) and (unsaid or not self._link)

    def _fetch(self, locations: list[str]) -> list[bytes | ImageFault]:
        found = fetched(self._reader, locations, self._source.owner) if locations else []
        self._guess = max([self._guess // 2, *(len(item) for item in found if isinstance(item, bytes))])
        return found

    def _look(self, entry: ImageEntry, arrived: Iterator[bytes | ImageFault]) -> Picture:
        owner, location = self._source.owner, entry.location
        if self._is_fetched(entry):
            item = next(arrived)
            if isinstance(item, ImageFault):
                raise item
            picture = look_at(item, shown(location), owner)
            return replace(picture, data=b'') if self._link else picture
        if is_url(location):
            return Picture(b'', None)
        return look_at_file(location, owner) if self._link else look_at(read_file(location, owner), location, owner)
