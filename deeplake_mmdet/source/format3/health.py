"""What the files of one version say of its tensors, and the checks of a tensor before it is first read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from deeplake_mmdet.source.format3.chunks import Chunks
from deeplake_mmdet.source.format3.files import FIRST_COMMIT, Format3Files
from deeplake_mmdet.source.format3.history import History
from deeplake_mmdet.source.format3.tensors import Tensor, read_tensors, refuse_compression


@dataclass
class Health:
    """The tensors of one version.

    Attributes:
        tensors: By name.
        remarks: For the log.
        is_committed: Whether the version can change no more.
    """

    tensors: Mapping[str, Tensor]
    remarks: tuple[str, ...]
    is_committed: bool
    _chunks: Chunks = field(repr=False)

    @classmethod
    def of(cls, files: Format3Files, history: History, commit_id: str) -> Health:
        """Read what describes a version.

        Raises:
            SourceError: A description is missing or damaged, or Deep Lake 4 crashes at the compression of a tensor.
        """
        tensors = read_tensors(files, commit_id)
        for tensor in tensors.values():
            refuse_compression(files, tensor)
        lengths = {tensor.length for tensor in tensors.values()}
        remarks: tuple[str, ...] = ()
        if len(lengths) > 1:
            shown = ', '.join(f'{name!r}: {tensor.length}' for name, tensor in tensors.items())
            remarks = (
                f'{files.uri}: the tensors differ in length ({shown}); the first {min(lengths)} rows are read, as '
                'Deep Lake 3 does.',
            )
        return cls(tensors, remarks, history.commits[commit_id].time is not None, Chunks(files, history, commit_id))

    @property
    def rows(self) -> int:
        """Number of rows: those that every tensor has."""
        return min((tensor.length for tensor in self.tensors.values()), default=0)

    def check(self, column: str) -> None:
        """Refuse a tensor whose stored chunks are missing or cut.

        Raises:
            SourceError: The file is named, and the tensor.
        """
        if column in self.tensors:
            self._chunks.check(self.tensors[column])

    def check_packed(self, column: str) -> None:
        """The same of images in chunks that are packed as a whole; expensive, for images that end in zeros."""
        if column in self.tensors:
            self._chunks.check(self.tensors[column], unpack_images=True)

    def tiled(self, column: str) -> frozenset[int]:
        """Rows of a column that cannot be read as the bytes of one image."""
        return self.tensors[column].tiled if column in self.tensors else frozenset()

    @staticmethod
    def identity(files: Format3Files, history: History) -> str:
        """A hash that one dataset keeps and no other has.

        Deep Lake 3 gives its datasets no id. But the chunks of the first version have random names, of which the first
        never changes, and the first commit has a time.
        """
        first = read_tensors(files, FIRST_COMMIT)
        names = [f'{tensor.key}:{tensor.chunks[0, 0]}' for tensor in first.values() if len(tensor.chunks)]
        known = min(names, default=f'{history.commits[FIRST_COMMIT].time}')
        return f'format3-{hashlib.blake2b(known.encode(), digest_size=8).hexdigest()}'
