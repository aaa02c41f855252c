"""Reading format-3 datasets through this package, and comparing with what Deep Lake 3.9.52 read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.source.handle import SourceHandle

EMPTY = hashlib.sha256(b'').hexdigest()


def resolve(path: Path | str, **pins: Any) -> SourceHandle:
    return SourceHandle.resolve(DatasetSpec.from_config({'deeplake_path': str(path), **pins}))


def same(value: Any, wanted: Any) -> bool:
    """Whether a sample that Deep Lake 4 read is what Deep Lake 3 read; an empty sample is None in one of them."""
    if isinstance(wanted, str):
        return (value or '') == wanted
    if not isinstance(wanted, dict) or 'shape' not in wanted:
        if hasattr(value, 'to_dict'):
            return value.to_dict() == wanted
        return (value is None and not wanted) or [np.asarray(item).tolist() for item in value] == wanted
    if 0 in wanted['shape']:
        return value is None or np.asarray(value).size == 0
    if isinstance(value, bytes):  # an image behind a link
        value = cv2.cvtColor(cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    array = np.asarray(value)
    if 'values' in wanted:
        return str(array.dtype) == wanted['dtype'] and array.tolist() == wanted['values']
    shapes = (tuple(wanted['shape']), (*wanted['shape'], 1))  # Deep Lake 4 gives gray images a channel
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return array.shape in shapes and str(array.dtype) == wanted['dtype'] and digest == wanted['sha256']


def differences(handle: SourceHandle, expected: dict[str, Any]) -> list[str]:
    """Where a handle reads something else than Deep Lake 3: by column, and by single rows; empty if nowhere.

    Pixels of encoded images are not decoded here: their bytes are compared.
    """
    found = [] if len(handle) == expected['rows'] else [f'{len(handle)} rows, expected {expected["rows"]}']
    for column, wanted in expected['values'].items():
        if column in expected['bytes']:
            read, stored = handle.read(column, handle.rows), expected['bytes'][column]
            good = [
                same(value, want)
                if isinstance(value, np.ndarray)
                else hashlib.sha256(value or b'').hexdigest() == digest
                for value, want, digest in zip(read, wanted, [item or EMPTY for item in stored], strict=True)
            ]
            found += [f'{column}[{row}]: other bytes' for row, equal in enumerate(good) if not equal]
            continue
        for how, values in (
            ('column', handle.read_column(column, 0, len(handle))),
            ('rows', handle.read(column, handle.rows)),
        ):
            pairs = zip(values, wanted, strict=True)
            found += [f'{column}[{row}] by {how}: {v!r}' for row, (v, want) in enumerate(pairs) if not same(v, want)]
    return found
