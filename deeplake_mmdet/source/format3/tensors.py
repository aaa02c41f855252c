"""The tensors of one version: which there are, how many rows each has, and whether all of it is described.

A tensor whose description is missing reads as rows without value, so that a dataset would seem to have no boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.errors import SourceError
from deeplake_mmdet.source.format3.files import Format3Files, in_folder

OLDEST, NEWEST = (2, 3, 5), (3,)  # what was tried: data of Hub 2.3.5 to Deep Lake 3.9.52
# What Deep Lake 4 reads of samples that are compressed one by one, by htype.
_COMPRESSIONS = {'image': ('jpeg', 'png'), 'segment_mask': ('lz4', 'png'), 'binary_mask': ('lz4',)}
_DESCRIPTION = 'dataset_meta.json'
_META, _INDEX, _SEQUENCES = 'tensor_meta.json', 'chunks_index/unsharded', 'sequence_index/unsharded'


@dataclass(frozen=True)
class Tensor:
    """One tensor of a version.

    Attributes:
        name: The name that users know, such as ``'ann/boxes'``.
        key: The name under which its files lie.
        meta: Its description.
        chunks: Number and last item of each chunk, (C, 2), in the order of the items.
        length: Number of rows.
    """

    name: str
    key: str
    meta: Mapping[str, Any]
    chunks: np.ndarray
    length: int

    @property
    def is_scalar(self) -> bool:
        """Whether every row is one number, which format 3 stores as an array of one."""
        one = self.meta.get('min_shape') == self.meta.get('max_shape') == [1]
        return one and self.meta.get('htype') == 'generic' and not self.meta.get('is_sequence')

    @property
    def tiled(self) -> frozenset[int]:
        """Rows whose sample is cut into several chunks; Deep Lake 4 gives the bytes of the first tile alone."""
        ends = self.chunks[:, 1]
        return frozenset(ends[1:][ends[1:] == ends[:-1]].tolist())


def check_version(files: Format3Files) -> None:
    """Refuse data of releases whose data this was not tried with.

    Raises:
        SourceError: It is older or newer, or the dataset's description is damaged.
    """
    text = files.json(_DESCRIPTION).get('version')
    try:
        version = tuple(int(part) for part in str(text).split('.'))
    except ValueError:
        raise files.damaged(_DESCRIPTION, f'gives the version {text!r}') from None
    if version < OLDEST:
        raise SourceError(
            f'The dataset at {files.uri!r} was written by release {text}, which is older than can be read: '
            f'{".".join(map(str, OLDEST))} is the oldest. Copy it with Deep Lake 3 (pip install "deeplake<4"): '
            f'deeplake.deepcopy({files.uri!r}, "<new path>").'
        )
    if version[:1] > NEWEST:
        raise SourceError(
            f'The dataset at {files.uri!r} is of format 3, but says that release {text} wrote it. Releases from 4 on '
            f'write another format: its {_DESCRIPTION!r} is not to be trusted. Restore it from a copy.'
        )


def read_tensors(files: Format3Files, commit_id: str) -> dict[str, Tensor]:
    """The tensors of a version that users see, by name.

    Raises:
        SourceError: A description is missing or damaged.
    """
    path = in_folder(commit_id, _DESCRIPTION)
    description = files.json(path)
    try:
        hidden = set(description.get('hidden_tensors', ()))
        keys = description.get('tensor_names') or {key: key for key in description['tensors']}
        visible = {str(name): str(key) for name, key in keys.items() if key not in hidden}
    except (AttributeError, KeyError, TypeError) as error:
        raise files.damaged(path, f'describes no tensors ({error!r})') from None
    paths = [in_folder(commit_id, f'{key}/{file}') for key in visible.values() for file in (_META, _INDEX, _SEQUENCES)]
    contents = dict(zip(paths, files.find_all(paths), strict=True))
    return {name: _tensor(files, commit_id, name, key, contents) for name, key in visible.items()}


def refuse_compression(files: Format3Files, tensor: Tensor) -> None:
    """Refuse what ends the process as soon as Deep Lake 4 looks at the columns, whichever of them is read.

    Raises:
        SourceError: The tensor is compressed so.
    """
    htype, compression = str(tensor.meta.get('htype')).partition('.')[0], tensor.meta.get('sample_compression')
    readable = _COMPRESSIONS.get(htype)
    if compression is not None and readable is not None and compression not in readable:
        raise SourceError(
            f'The tensor {tensor.name!r} of {files.uri!r} is of htype {tensor.meta.get("htype")!r} with '
            f'sample_compression={compression!r}, at which Deep Lake 4 crashes; it reads {" and ".join(readable)}. '
            'Copy the dataset with Deep Lake 3, without this tensor or with another compression.'
        )


def _tensor(files: Format3Files, commit_id: str, name: str, key: str, contents: Mapping[str, bytes | None]) -> Tensor:
    paths = {file: in_folder(commit_id, f'{key}/{file}') for file in (_META, _INDEX, _SEQUENCES)}
    meta = files.document(paths[_META], contents[paths[_META]])
    items = meta.get('length')
    if not isinstance(items, int):
        raise files.damaged(paths[_META], f'gives the length {items!r}')
    content = contents[paths[_INDEX]]
    if content is None and items:
        raise files.damaged(paths[_INDEX], f'is missing, but the tensor has {items} items')
    chunks = parse_chunk_index(content or b'')
    if chunks is None:
        raise files.damaged(paths[_INDEX], f'lists no chunks ({len(content or b"")} bytes)')
    last = int(chunks[-1, 1]) + 1 if len(chunks) else 0
    if last != items:
        raise files.damaged(paths[_INDEX], f'lists the chunks of {last} items, but the tensor has {items}')
    length = _sequences(contents[paths[_SEQUENCES]]) if meta.get('is_sequence') else items
    return Tensor(name, key, meta, chunks, length)


def parse_chunk_index(content: bytes) -> np.ndarray | None:
    """Number and last item of each chunk, uint64 of shape (C, 2); None if the content is damaged.

    The content is the writer's version (its length, then its text), from 2.7.6 on the size of an entry in bytes, and
    the entries.
    """
    if not content:
        return np.zeros((0, 2), np.uint64)
    size = 1 + content[0]
    try:
        version = tuple(int(part) for part in content[1:size].decode('ascii').split('.'))
    except ValueError:
        return None
    width, rest = (content[size : size + 1], content[size + 1 :]) if version >= (2, 7, 6) else (b'\4', content[size:])
    dtype = {b'\4': np.uint32, b'\x08': np.uint64}.get(width)
    if dtype is None or len(rest) % (2 * np.dtype(dtype).itemsize):
        return None
    chunks = np.frombuffer(rest, dtype).reshape(-1, 2).astype(np.uint64)
    ends = chunks[:, 1]
    return chunks if (ends[1:] >= ends[:-1]).all() else None


def _sequences(content: bytes | None) -> int:
    """Number of sequences; the last entry of the encoder is the number of the last one."""
    content = content or b'\0'
    rest = content[1 + content[0] :]
    entries = np.frombuffer(rest[: len(rest) // 4 * 4], '<u4')
    return int(entries[-1]) + 1 if len(entries) else 0
