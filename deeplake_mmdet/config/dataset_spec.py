"""What a dataset's config says, checked once and frozen.

`DatasetSpec.from_config` is the only place where the ``deeplake_*`` keys of a dataset are read. All that is wrong with
them is collected and raised together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.config.tensor_roles import TENSOR_ROLES
from deeplake_mmdet.errors import ConfigError

LOADER_TYPES = ('auto', 'python', 'c++')
ON_ERROR = ('raise', 'skip')

_FROM = re.compile(r"""\bfrom\s+["']([^"']+)["']\s*""", re.IGNORECASE)

# The keys of a dataset, in the order in which the documentation explains them.
DATASET_KEYS = (
    'deeplake_path',
    'deeplake_credentials',
    'deeplake_branch',
    'deeplake_commit_id',
    'deeplake_view_id',
    'deeplake_query',
    'deeplake_tensors',
    'deeplake_bbox_format',
    'deeplake_dataloader_type',
    'on_error',
)
# Keys that a dataset shares with every other one of MMDetection.
MMDET_KEYS = (
    'metainfo',
    'filter_cfg',
    'indices',
    'serialize_data',
    'pipeline',
    'test_mode',
    'lazy_init',
    'max_refetch',
    'return_classes',
    'caption_prompt',
)
# Arguments of `CocoDataset` that name files; a Deep Lake dataset reads none.
FILE_KEYS = ('ann_file', 'data_root', 'data_prefix', 'proposal_file', 'file_client_args', 'backend_args')


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset as its config names it.

    Attributes:
        location: Where it is: path, and branch or view named in the path.
        credentials: Token and storage credentials; never part of ``repr``.
        branch, commit_id, view_id, query: The pins; None where none is asked for.
        tensors: Role to column name, as in ``deeplake_tensors``.
        bbox_format: How the box column is to be read, or None to find out.
        loader_type: One of ``LOADER_TYPES``.
        on_error: ``'raise'`` or ``'skip'``: what an unreadable image does.
    """

    location: Location
    credentials: Credentials = field(default_factory=Credentials, repr=False)
    branch: str | None = None
    commit_id: str | None = None
    view_id: str | None = None
    query: str | None = None
    tensors: Mapping[str, str] = field(default_factory=dict)
    bbox_format: BoxFormat | None = None
    loader_type: str = 'auto'
    on_error: str = 'raise'

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DatasetSpec:
        """Read the Deep Lake keys of a dataset config.

        Args:
            config: The dataset's own keys (``DATASET_KEYS``), and any key that the dataset does not know.

        Raises:
            ConfigError: Unknown keys (with the closest known one), missing path, values of a wrong type; all at once.
        """
        problems: list[str] = []
        for key, value in config.items():
            problems += _unknown(key, value)
        path, query = config.get('deeplake_path'), _text(problems, config, 'deeplake_query')
        if query:
            path, query = _collect(problems, lambda text: _path_in_query(text, path), query) or (path, query)
        spec = cls(
            location=_collect(problems, Location.parse, path),
            credentials=_collect(problems, Credentials.from_config, config.get('deeplake_credentials')),
            branch=_text(problems, config, 'deeplake_branch'),
            commit_id=_text(problems, config, 'deeplake_commit_id'),
            view_id=_text(problems, config, 'deeplake_view_id'),
            query=query,
            tensors=_collect(problems, _tensors, config.get('deeplake_tensors')),
            bbox_format=_collect(problems, BoxFormat.from_config, config.get('deeplake_bbox_format')),
            loader_type=_choice(problems, config, 'deeplake_dataloader_type', LOADER_TYPES),
            on_error=_choice(problems, config, 'on_error', ON_ERROR),
        )
        if problems:
            raise ConfigError('\n'.join(problems))
        return spec


def _path_in_query(query: str, path: Any) -> tuple[Any, str]:
    """The dataset that a query names itself, ``select * from "s3://bucket/dataset" where …``, and the rest of it."""
    sources = set(_FROM.findall(query))
    if not sources or (len(sources) > 1 and not path):
        return path, query
    if path and sources != {path}:
        raise ConfigError(
            f'DeepLakeDataset(deeplake_query=) names {sorted(sources)}, but deeplake_path is {path!r}. Leave out one '
            'of them: a query without "from" is run on deeplake_path.'
        )
    return sources.pop(), _FROM.sub('', query)


def _collect(problems: list[str], read: Any, value: Any) -> Any:
    try:
        return read(value)
    except ConfigError as error:
        problems.append(str(error))
        return None


def _unknown(key: str, value: Any) -> list[str]:
    if key in DATASET_KEYS:
        return []
    if key in FILE_KEYS:
        if not value or (isinstance(value, Mapping) and not any(value.values())):
            return []
        shown = repr(value) if isinstance(value, str) else f'a {type(value).__name__}'  # it may hold a key
        return [
            f'DeepLakeDataset({key}=) expected no value, but got {shown}: annotations and images are columns of '
            'deeplake_path. Put _delete_=True into the dataset dict to drop the keys inherited from a CocoDataset.'
        ]
    close = difflib.get_close_matches(key, (*DATASET_KEYS, *MMDET_KEYS), n=1, cutoff=0.6)
    hint = f'Did you mean {close[0]!r}?' if close else f'The Deep Lake keys are {", ".join(DATASET_KEYS)}.'
    return [f'DeepLakeDataset got an unknown key {key!r}. {hint}']


def _text(problems: list[str], config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None or value == '':
        return None
    if isinstance(value, str):
        return value
    problems.append(f'DeepLakeDataset({key}=) expected a string, but got {value!r} of type {type(value).__name__}.')
    return None


def _choice(problems: list[str], config: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = config.get(key) or choices[0]
    if value not in choices:
        problems.append(f'DeepLakeDataset({key}=) expected one of {", ".join(map(repr, choices))}, but got {value!r}.')
    return value


def _tensors(value: Any) -> dict[str, str]:
    if value is None or value == '':
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(column, str) for column in value.values()):
        raise ConfigError(
            'DeepLakeDataset(deeplake_tensors=) expected a dict of role to column name such as '
            f"dict(img='images', gt_bboxes='boxes', gt_labels='categories'), but got {value!r}."
        )
    for role in value:
        if role not in TENSOR_ROLES:
            close = difflib.get_close_matches(role, TENSOR_ROLES, n=1, cutoff=0.5)
            hint = f' Did you mean {close[0]!r}?' if close else ''
            raise ConfigError(
                f'DeepLakeDataset(deeplake_tensors=) got an unknown role {role!r}.{hint} '
                f'The roles are {", ".join(TENSOR_ROLES)}.'
            )
    return dict(value)
