"""Versions of a dataset: queries saved as views, history, differences, edits on a branch.

The names are resolved on first use, so that importing this package does not import Deep Lake.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    'select': 'selection',
    'save_view': 'saving',
    'list_views': 'views',
    'delete_view': 'views',
    'list_commits': 'history',
    'list_branches': 'history',
    'diff': 'difference',
    'edit': 'editing',
    'Selection': 'selection',
    'SavedView': 'views',
    'Commit': 'history',
    'BranchHead': 'history',
    'Difference': 'difference',
    'Edit': 'editing',
}
__all__ = [
    'BranchHead',
    'Commit',
    'Difference',
    'Edit',
    'SavedView',
    'Selection',
    'delete_view',
    'diff',
    'edit',
    'list_branches',
    'list_commits',
    'list_views',
    'save_view',
    'select',
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
