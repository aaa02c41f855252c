"""What an opened Deep Lake object tells of where it comes from.

Datasets know their branch and version. A view knows neither version nor tag: all there is, is what Deep Lake would
pickle, namely the address, the storage's credentials, the branch's id and the texts of the queries.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.fold import named_source

# The version of a dataset that has uncommitted changes.
_UNCOMMITTED = '9999999999vzzzzzzzz'
# Deep Lake adds this to what it was given.
_DERIVED = 'region_name'


@dataclass(frozen=True)
class Trace:
    """Where an object comes from; unknown texts are empty.

    Attributes:
        uri: Address of its dataset.
        credentials: What it was opened with.
        dataset_id, branch, commit_id: Of a dataset, as it says itself.
        branch_id: Deep Lake's id of the branch.
        queries: The queries that led to it, the first one first.
        source: What the first query names behind ``from``, or None.
        is_view: Whether it is the result of a query or a saved view.
        uncommitted: Whether it has changes that are in no commit; of a view, nobody knows.
    """

    uri: str = ''
    credentials: Credentials = field(default_factory=Credentials, repr=False)
    dataset_id: str = ''
    branch: str = ''
    commit_id: str = ''
    branch_id: str = ''
    queries: tuple[str, ...] = ()
    source: str | None = None
    is_view: bool = True
    uncommitted: bool = False

    @property
    def description(self) -> str:
        """The object in words."""
        if not self.is_view:
            return 'a dataset with uncommitted changes' if self.uncommitted else 'a dataset'
        return ', then '.join(self.queries) or 'a view'


def trace_of(dataset: Any) -> Trace:
    """Ask an object where it comes from.

    Args:
        dataset: A Deep Lake dataset or view.
    """
    parts = _state(dataset)
    origin = parts[0] if parts and 'reader' in parts[0] else {}
    queries = tuple(part['query_string'] for part in parts if 'query_string' in part)
    source = named_source(queries[0]) if queries else None
    reader = origin.get('reader', {})
    version = str(getattr(dataset, 'version', ''))
    return Trace(
        uri=_address(reader.get('url') or (source or '').partition('@')[0]),
        credentials=_credentials(reader.get('params', {})),
        dataset_id=str(getattr(dataset, 'id', '')),
        branch=str(getattr(dataset, 'current_branch', '')),
        commit_id='' if version == _UNCOMMITTED else version,
        branch_id=origin.get('branch_id', ''),
        queries=queries,
        source=source,
        is_view=not hasattr(dataset, 'version'),
        uncommitted=version == _UNCOMMITTED,
    )


def _state(dataset: Any) -> list[dict[str, Any]]:
    """What Deep Lake would pickle; empty if it is of a form that is not known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # of uncommitted changes
            state = json.loads(dataset.__getstate__()[0])
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return []
    parts = state if isinstance(state, list) else [state]
    return parts if all(isinstance(part, dict) for part in parts) else []


def _address(url: str) -> str:
    url = url.rstrip('/')
    return url if '://' in url or not url else os.path.abspath(url)


def _credentials(params: dict[str, str]) -> Credentials:
    """The storage's credentials; none where the environment provided them."""
    creds = {key: value for key, value in params.items() if key not in (_DERIVED, 'token')}
    try:
        return Credentials.from_config({'token': params.get('token'), 'creds': creds})
    except ConfigError:  # something that no config could say
        return Credentials()
