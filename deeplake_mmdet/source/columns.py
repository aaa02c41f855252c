"""Which column plays which role: named in the config, else found by type; never guessed between two."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.box_format import BoxFormat
from deeplake_mmdet.config.link_credentials import LINK_CREDS
from deeplake_mmdet.config.tensor_roles import OPTIONAL_ROLES, REQUIRED_ROLES
from deeplake_mmdet.errors import ColumnError, QueryError
from deeplake_mmdet.source.column_types import (
    NEEDS,
    RESULTS,
    can_play,
    declared_format,
    kind_of,
    mask_kind,
    metadata_of,
    same_type,
)
from deeplake_mmdet.source.numbered import SOURCE_ROW

# Deep Lake's name of the column type that a role is found by; the second only where there is none of the first.
_KINDS_OF_ROLE = {'img': ('Image', 'Link'), 'gt_bboxes': ('BoundingBox',), 'gt_labels': ('ClassLabel',)}
# Optional roles have no type of their own: they are found by the names that converters give them.
_NAMES_OF_ROLE = {
    'gt_masks': ('masks',),
    'gt_iscrowd': ('iscrowd', 'iscrowds', 'is_crowd'),
    'gt_difficult': ('difficult',),
    'gt_ignore': ('ignore',),
    'gt_areas': ('areas', 'area'),
    'img_id': ('img_id', 'image_id'),
    'height': ('height',),
    'width': ('width',),
}
# Read one by one while training, and so from the stored rows, where a query computes nothing.
_READ_BY_ROW = ('img', 'gt_masks')


@dataclass(frozen=True)
class ImageColumn:
    """How the image column stores its samples.

    Attributes:
        name: Name of the column.
        compression: ``'jpg'`` or ``'png'`` as Deep Lake declares it; None where samples are plain pixels.
        is_link: Whether samples are links to images.
        link_creds: What the column calls the credentials that its links need, or None.
    """

    name: str
    compression: str | None
    is_link: bool = False
    link_creds: str | None = None

    @property
    def extension(self) -> str:
        return self.compression or 'png'


@dataclass(frozen=True)
class MaskColumn:
    """How the masks are stored.

    Attributes:
        name: Name of the column.
        kind: What `mask_kind` calls it.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class ColumnMap:
    """Role to column.

    Attributes:
        names: Role to name of the column.
        image: The image column.
        box_format: What the box column itself declares, or None.
        class_names: Class names in the metadata of the label column, or None.
        category_ids: Original category ids in the same metadata, or None.
        masks: The mask column, or None.
    """

    names: Mapping[str, str]
    image: ImageColumn
    box_format: BoxFormat | None
    class_names: tuple[str, ...] | None
    category_ids: tuple[int, ...] | None
    masks: MaskColumn | None = None

    def __getitem__(self, role: str) -> str:
        return self.names[role]

    def get(self, role: str) -> str | None:
        return self.names.get(role)


def map_columns(base: Any, selection: Any, wanted: Mapping[str, str], scalars: Collection[str] = ()) -> ColumnMap:
    """Find the column of every role.

    Args:
        base: Deep Lake dataset or view; its schema is used to tell a column that a query dropped.
        selection: The rows that were asked for.
        wanted: Role to column name, from ``deeplake_tensors``; an empty name leaves an optional role without column.
        scalars: Columns that hold one number a row although their type is an array, as in format 3.

    Raises:
        ColumnError: A required role has no column, or two that fit, or the named one does not exist or does not fit.
        QueryError: The query dropped or changed the column.
    """
    all_types, all_base_types = _types(selection), _types(base)
    names = {role: _named(role, column, all_types, all_base_types) for role, column in wanted.items() if column}
    types, base_types = (_annotations(every, names.values()) for every in (all_types, all_base_types))
    for role, column in names.items():
        if not can_play(role, selection[column], types[column], is_scalar=column in scalars):
            raise ColumnError(
                f'DeepLakeDataset(deeplake_tensors.{role}=) names the column {column!r}, which is '
                f'{str(types[column])!r}. It needs {NEEDS[role]}.'
            )
    for role in REQUIRED_ROLES:
        if role not in names:
            names[role] = _found(role, types, base_types)
    for role in OPTIONAL_ROLES:
        if role not in wanted and (found := _found_optional(role, selection, types, scalars)):
            names[role] = found
    for role in _READ_BY_ROW:
        if role in names and not same_type(base_types.get(names[role]), types[names[role]]):
            raise QueryError(
                f'DeepLakeDataset(deeplake_query=) computes the column {names[role]!r}, which plays {role} and is read '
                'as it is stored. Begin the query with "select *".'
            )
    class_names = metadata_of(selection[names['gt_labels']], 'class_names', str) or None  # format 3 writes [] for none
    category_ids = metadata_of(selection[names['gt_labels']], 'category_ids', int)
    if category_ids is not None and len(category_ids) != len(class_names or ()):
        raise ColumnError(
            f'The metadata of column {names["gt_labels"]!r} expected as many category_ids as class_names, but got '
            f'{len(category_ids)} and {len(class_names or ())}. Correct the metadata.'
        )
    return ColumnMap(
        names=names,
        image=image_column(selection[names['img']], types[names['img']]),
        box_format=declared_format(types[names['gt_bboxes']], selection[names['gt_bboxes']]),
        class_names=class_names,
        category_ids=category_ids,
        masks=_mask_column(selection, names.get('gt_masks'), types),
    )


def image_column(column: Any, dtype: Any) -> ImageColumn:
    """How a column of images, or of links to them, stores its samples.

    Args:
        column: The Deep Lake column, for its name and metadata.
        dtype: Its type.
    """
    compression, is_link = getattr(dtype, 'sample_compression', None), bool(getattr(dtype, 'is_link', False))
    name = column.metadata[LINK_CREDS] if is_link and LINK_CREDS in list(column.metadata.keys()) else None
    return ImageColumn(column.name, compression, is_link, None if name is None else str(name))


def mask_columns(selection: Any) -> list[str]:
    """Names of the columns that can play ``gt_masks``."""
    types = _annotations(_types(selection))
    return [name for name, dtype in types.items() if can_play('gt_masks', selection[name], dtype)]


def _mask_column(selection: Any, name: str | None, types: Mapping[str, Any]) -> MaskColumn | None:
    kind = None if name is None else mask_kind(selection[name], types[name])
    return None if name is None or kind is None else MaskColumn(name, kind)


def _types(container: Any) -> dict[str, Any]:
    return {column.name: column.dtype for column in container.schema.columns if column.name != SOURCE_ROW}


def _annotations(types: Mapping[str, Any], named: Collection[str] = ()) -> dict[str, Any]:
    """The columns without those of results, which play a role only where they are named."""
    return {name: dtype for name, dtype in types.items() if name in named or not name.startswith(RESULTS)}


def _named(role: str, column: str, types: Mapping[str, Any], base_types: Mapping[str, Any]) -> str:
    if column in types:
        return column
    if column in base_types:
        raise QueryError(_dropped(role, [column]))
    close = difflib.get_close_matches(column, types, n=1)
    raise ColumnError(
        f'DeepLakeDataset(deeplake_tensors.{role}=) names the column {column!r}, which does not exist. '
        f'The columns are {_listed(types)}.{f" Did you mean {close[0]!r}?" if close else ""}'
    )


def _found_optional(role: str, selection: Any, types: Mapping[str, Any], scalars: Collection[str]) -> str | None:
    """The column that has a role's name and form; where no masks are called so, the only column of masks."""
    if role == 'gt_masks':
        # A SegmentMask is a map of classes, rather: it has to be named.
        masks = [name for name in mask_columns(selection) if kind_of(types[name]) != 'SegmentMask']
        called = [name for name in masks if name in _NAMES_OF_ROLE[role]]
        return next(iter(called or masks * (len(masks) == 1)), None)
    name = next((name for name in _NAMES_OF_ROLE[role] if name in types), None)
    fits = name is not None and can_play(role, selection[name], types[name], is_scalar=name in scalars)
    return name if fits else None


def _found(role: str, types: Mapping[str, Any], base_types: Mapping[str, Any]) -> str:
    kinds = _KINDS_OF_ROLE[role]
    found, stored = _of_kinds(kinds, types), _of_kinds(kinds, base_types)
    if len(found) == 1:
        return found[0]
    key = f'DeepLakeDataset(deeplake_tensors.{role}=)'
    if found:
        raise ColumnError(
            f'{key} is needed: {len(found)} columns are of type {kind_of(types[found[0]])}: '
            f'{", ".join(map(repr, found))}. Name one of them.'
        )
    if stored:
        raise QueryError(_dropped(role, stored))
    raise ColumnError(f'{key} is needed: no column is of type {kinds[0]}. The columns are {_listed(types)}.')


def _of_kinds(kinds: Sequence[str], types: Mapping[str, Any]) -> list[str]:
    """The columns of the first kind that there is."""
    found = ([name for name, dtype in types.items() if kind_of(dtype) == kind] for kind in kinds)
    return next(filter(None, found), [])


def _dropped(role: str, columns: Sequence[str]) -> str:
    return (
        f'DeepLakeDataset(deeplake_query=) drops or computes the column {" or ".join(map(repr, columns))}, which plays '
        f'{role}. Begin the query with "select *".'
    )


def _listed(types: Mapping[str, Any]) -> str:
    return ', '.join(f'{name!r} ({kind_of(dtype)})' for name, dtype in types.items()) or 'none'
