"""Whether the files of a tensor hold all that they should.

Deep Lake 4 reads a chunk that was cut as zeros or other numbers, waits for ever, or crashes the process. What a chunk
must hold is known: its header says where each sample ends, and how many there are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source.format3.files import FIRST_COMMIT, Format3Files, in_folder
from deeplake_mmdet.source.format3.history import History
from deeplake_mmdet.source.format3.packed import is_whole
from deeplake_mmdet.source.format3.tensors import Tensor

_STEP = 256  # chunks at a time
_PREFIX = 4096  # bytes of a chunk that hold most headers
_UNPACKED = (None, 'lz4', 'png', 'jpeg')  # compressions of single samples that Deep Lake 4 takes apart


@dataclass(frozen=True)
class Header:
    """What a chunk says of itself.

    Attributes:
        size: Bytes of the header; -1 if it is longer than what was read.
        samples: Number of samples; None where the header does not say.
        data: Bytes of the samples, before they are compressed as a whole; None where the header does not say.
    """

    size: int
    samples: int | None
    data: int | None


def parse_header(content: bytes) -> Header | None:
    """Read the header of a chunk; None if it is damaged.

    It holds the writer's version, a table of the samples' shapes (repeated ones once), and a table of their places:
    bytes a sample, first byte, last sample.
    """
    try:
        at = 1 + content[0]
        if not content[1:at].replace(b'.', b'').isdigit():
            return None
        rows, columns = struct.unpack_from('<ii', content, at)
        if rows < 0 or not 0 <= columns <= 64:
            return None
        at += 8
        shapes = np.frombuffer(content, '<u4', rows * columns, at).reshape(rows, columns)
        at += shapes.nbytes
        (rows,) = struct.unpack_from('<I', content, at)
        at += 4
        places = np.frombuffer(content, '<u4', rows * 3, at).reshape(rows, 3).astype(np.int64)
        at += rows * 12
    except (IndexError, ValueError, struct.error):
        return Header(-1, None, None)
    if len(places):
        before = int(places[-2, 2]) if len(places) > 1 else -1
        size, first, last = places[-1].tolist()
        return Header(at, last + 1, first + size * (last - before))
    return Header(at, int(shapes[-1, -1]) + 1 if shapes.size else None, None)


class Chunks:
    """The chunk files of a version's tensors.

    Args:
        files: The dataset.
        history: Its versions.
        commit_id: The version.
    """

    def __init__(self, files: Format3Files, history: History, commit_id: str) -> None:
        self._files = files
        self._ancestors = history.ancestors(commit_id)

    def check(self, tensor: Tensor, *, unpack_images: bool = False) -> None:
        """Refuse a tensor whose chunks are missing or cut, or compressed in a way that is read wrongly.

        Args:
            tensor: The tensor.
            unpack_images: Whether chunks of images that are packed as a whole are looked through as well, which takes
                as long as reading them all.

        Raises:
            SourceError: The file is named, and the tensor.
        """
        if not len(tensor.chunks):
            return
        self._refuse_compression(tensor)
        paths = self._paths(tensor)
        unpack = unpack_images or not str(tensor.meta.get('htype')).startswith('image')
        counts = np.diff(tensor.chunks[:, 1].astype(np.int64), prepend=-1)
        for start in range(0, len(paths), _STEP):
            stop = start + _STEP
            self._check_some(tensor, paths[start:stop], counts[start:stop].tolist(), unpack)

    def _refuse_compression(self, tensor: Tensor) -> None:
        """Refuse samples that Deep Lake 4 reads as something else, or as nothing."""
        name = f'The tensor {tensor.name!r} of {self._files.uri!r}'
        packing, single = tensor.meta.get('chunk_compression'), tensor.meta.get('sample_compression')
        if packing not in (None, 'lz4'):
            raise SourceError(
                f'{name} was made with chunk_compression={packing!r}: several samples lie in one picture, which Deep '
                'Lake 4 takes apart wrongly. Copy the dataset with Deep Lake 3 into a tensor with sample_compression.'
            )
        if packing and tensor.tiled:
            raise SourceError(
                f'{name} was made with chunk_compression={packing!r}, and the sample of row {min(tensor.tiled)} is cut '
                'into several chunks, which Deep Lake 4 then reads as zeros or other numbers. Copy the dataset with '
                'Deep Lake 3 into a tensor without chunk_compression.'
            )
        if single not in _UNPACKED or (single and tensor.meta.get('htype') == 'polygon'):
            raise SourceError(
                f'{name} is of htype {tensor.meta.get("htype")!r} with sample_compression={single!r}, which Deep Lake '
                '4 reads as other numbers, or as nothing. Copy the dataset with Deep Lake 3 into a tensor without it.'
            )

    def _check_some(self, tensor: Tensor, paths: Sequence[str], counts: Sequence[int], unpack: bool) -> None:
        ends: list[tuple[str, int]] = []
        for path, count, prefix in zip(paths, counts, self._files.find_all(paths, _PREFIX), strict=True):
            if prefix is None:
                raise self._damaged(tensor, path, 'is missing')
            header = parse_header(prefix)
            if header and header.size < 0:
                prefix = self._files.find(path) or b''
                header = parse_header(prefix)
            if header is None or header.size < 0:
                raise self._damaged(tensor, path, 'has a damaged or cut header')
            if header.samples not in (None, count) and count:  # a sample of several chunks counts in the last one
                raise self._damaged(tensor, path, f'holds {header.samples} samples, but {count} belong there')
            if header.data is None or tensor.meta.get('chunk_compression'):
                # Without places, it is a tile of an image.
                self._check_packed(tensor, path, header, unpack or header.data is None)
            elif header.data:
                ends.append((path, header.size + header.data))
        for (path, size), good in zip(ends, self._files.reach(ends), strict=True):
            if not good:
                raise self._damaged(tensor, path, f'is cut: it has fewer than its {size} bytes')

    def _check_packed(self, tensor: Tensor, path: str, header: Header, unpack: bool) -> None:
        if not unpack:
            return
        content = (self._files.find(path) or b'')[header.size :]
        if not is_whole(content, header.data):
            raise self._damaged(tensor, path, 'is cut: its samples cannot be unpacked')

    def _damaged(self, tensor: Tensor, path: str, how: str) -> SourceError:
        return self._files.damaged(path, f'of tensor {tensor.name!r} {how}')

    def _paths(self, tensor: Tensor) -> list[str]:
        """The file of each chunk: a version lists the chunks that were written for it, all others are older."""
        listing = [commit for commit in self._ancestors if commit != FIRST_COMMIT]
        sets = self._files.find_all([in_folder(commit, f'{tensor.key}/chunk_set') for commit in listing])
        homes: dict[str, tuple[str, str]] = {}
        for commit, content in zip(listing, sets, strict=True):
            for entry in (content or b'').decode('ascii', 'replace').split(','):
                name, _, origin = entry.partition(':')
                home, _, key = origin.partition(':')
                homes.setdefault(name, (home or commit, key or tensor.key))
        names = [f'{int(number):x}' for number in tensor.chunks[:, 0]]
        found = [(homes.get(name, (FIRST_COMMIT, tensor.key)), name) for name in names]
        return [in_folder(commit, f'{key}/chunks/{name}') for (commit, key), name in found]
