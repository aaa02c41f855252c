"""A JSON file that is read piece by piece, and whose faults are named by line, column and byte.

It is read with ``pread``, not mapped: mapped pages count as memory of the process, and threads share no position.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from deeplake_mmdet.errors import ConversionError

_BLOCK = 2**20


class JsonFile:
    """An open file.

    Args:
        path: Of the file.
        owner: Who reads it, for messages: ``convert_coco(ann_file='a.json')``.

    Raises:
        ConversionError: It cannot be opened.
    """

    def __init__(self, path: str | Path, owner: str) -> None:
        self.owner = owner
        try:
            self._file = Path(path).open('rb', buffering=0)  # noqa: SIM115 (see `close`)
            state = os.fstat(self._file.fileno())
        except OSError as error:
            self.fail('a readable file', error.strerror, 'Correct the path')
        self.size, self._time = state.st_size, state.st_mtime_ns

    def close(self) -> None:
        """Closes the file; nothing can be read any more."""
        self._file.close()

    def fail(self, expected: str, got: Any, remedy: str) -> NoReturn:
        """Raises a ConversionError in the house form that names the file."""
        raise ConversionError(f'{self.owner} expected {expected}, but got {got}. {remedy}.')

    def malformed(self, fault: str, offset: int) -> NoReturn:
        """Raises a ConversionError that names a place in the file.

        Args:
            fault: What is wrong there.
            offset: In bytes from the beginning of the file.
        """
        line, column = self._line_and_column(offset)
        at = f'{fault}: line {line} column {column} (byte {offset})'
        remedy = 'The file is damaged or cut off there: get it again; or it has another encoding: save it as UTF-8'
        self.fail('a complete JSON document', at, remedy)

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        """Both from 1 on; a column is a byte."""
        line, begin = 1, 0
        for start in range(0, offset, _BLOCK):
            block = os.pread(self._file.fileno(), min(_BLOCK, offset - start), start)
            line += block.count(b'\n')
            begin = start + block.rfind(b'\n') + 1 if b'\n' in block else begin
        return line, offset - begin + 1

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` on and before `stop`, or as many as there are."""
        try:
            return os.pread(self._file.fileno(), stop - start, start)
        except OSError as error:
            self.fail('a readable file', error.strerror, 'Correct the path')

    def check_unchanged(self) -> None:
        """Raises a ConversionError if the file was written to since it was opened."""
        state = os.fstat(self._file.fileno())
        if (state.st_size, state.st_mtime_ns) != (self.size, self._time):
            self.fail('a file that stays as it is while it is read', 'a change of it', 'Convert it again')
