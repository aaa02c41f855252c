"""Telling the folder of a local dataset from what else lies in it or around it, so that nobody's files are replaced."""

from __future__ import annotations

import re
from pathlib import Path

_MARKS = ('_deeplake_log', 'dataset_meta.json')  # of formats 4 and 3
_OWN = re.compile(r'_deeplake\w*|[0-9a-z]+')  # folders that Deep Lake 4 makes; it makes no files beside them


def dataset_around(folder: Path) -> Path | None:
    """The dataset in whose folder another folder lies or would lie; None where there is none."""
    return next((above for above in folder.parents if any((above / mark).exists() for mark in _MARKS)), None)


def foreign_entry(dataset: Path) -> str | None:
    """The name of something in the folder of a dataset of format 4 that Deep Lake did not write; None for nothing."""
    entries = sorted(dataset.iterdir()) if (dataset / _MARKS[0]).is_dir() else []
    return next((entry.name for entry in entries if not _is_own(entry)), None)


def _is_own(entry: Path) -> bool:
    is_dataset = any((entry / mark).exists() for mark in _MARKS)
    return entry.is_dir() and _OWN.fullmatch(entry.name) is not None and not is_dataset
