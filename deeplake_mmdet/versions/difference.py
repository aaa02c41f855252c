"""What differs between two versions: columns, metadata, and rows, recognised by an id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ColumnError
from deeplake_mmdet.source.column_types import same_type, type_in_words
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.pins import closest
from deeplake_mmdet.versions.reading import columns_of, label_column
from deeplake_mmdet.versions.row_changes import Comparison, RowChange
from deeplake_mmdet.versions.row_keys import match_rows


@dataclass(frozen=True)
class Difference:
    """What differs between two versions.

    Attributes:
        a, b: The versions, in words.
        key: The column by which rows were recognised, or ``position``.
        added_columns, removed_columns: Name and type.
        retyped_columns: Name, and the types in both; their values are not compared.
        metadata: Name of the column, or ``dataset``, with the key; and the values in both, None where there is none.
        added, removed: Identity and number of the rows of one version only.
        changed: The rows that both have, with other values.
        equal: How many rows are the same in all compared columns.
        is_reordered: Whether the rows of both stand in another order.
        left_out: Columns that were not compared, as asked for.
    """

    a: str
    b: str
    key: str
    added_columns: Mapping[str, str]
    removed_columns: Mapping[str, str]
    retyped_columns: Mapping[str, tuple[str, str]]
    metadata: Mapping[str, tuple[Any, Any]]
    added: list[tuple[Any, int]]
    removed: list[tuple[Any, int]]
    changed: list[RowChange]
    equal: int
    is_reordered: bool
    left_out: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        schema = self.added_columns or self.removed_columns or self.retyped_columns or self.metadata
        return bool(schema or self.added or self.removed or self.changed or self.is_reordered)


def diff(
    a: Mapping[str, Any], b: Mapping[str, Any], *, key: str | None = None, without: Collection[str] = ()
) -> Difference:
    """Compare two versions or views, of one dataset or of two.

    Every column is compared, images by their encoded bytes, linked images by their links, labels by class names.

    Args:
        a, b: The ``deeplake_*`` keys of both, such as ``dict(deeplake_path='data/mine@dev')``.
        key: The column by which a row is recognised; see `deeplake_mmdet.versions.row_keys.match_rows`.
        without: Columns that are not compared.

    Raises:
        ColumnError: `key` or `without` names no column.
        ConfigError, SourceError: A version cannot be opened or read.
    """
    (one_source, one_labels), (other_source, other_labels) = _opened(a), _opened(b)
    one, other = columns_of(one_source), columns_of(other_source)
    for name in without:
        if name not in {**one, **other}:
            raise ColumnError(
                f'diff(without=) names {name!r}, which is no column. The columns are '
                f'{", ".join(map(repr, {**one, **other}))}.{closest(name, {**one, **other})}'
            )
    shared = [name for name in one if name in other and name not in without]
    retyped = {
        name: (_type(one_source, name), _type(other_source, name))
        for name in shared
        if not same_type(one[name], other[name])
    }
    matched = match_rows(one_source, other_source, key)
    compared = [name for name in shared if name not in retyped]
    changed = Comparison(one_source, other_source, matched, (one_labels, other_labels)).changes(compared)
    return Difference(
        a=str(one_source.revision),
        b=str(other_source.revision),
        key=matched.key,
        added_columns={name: str(dtype) for name, dtype in other.items() if name not in one},
        removed_columns={name: str(dtype) for name, dtype in one.items() if name not in other},
        retyped_columns=retyped,
        metadata=_metadata_changes(one_source, other_source, shared),
        added=[(matched.keys_b[place], int(other_source.rows[place])) for place in matched.only_b],
        removed=[(matched.keys_a[place], int(one_source.rows[place])) for place in matched.only_a],
        changed=changed,
        equal=len(matched.common) - len(changed),
        is_reordered=matched.is_reordered,
        left_out=tuple(without),
    )


def _opened(config: Mapping[str, Any]) -> tuple[SourceHandle, str | None]:
    """A version, and the name of its column of labels."""
    spec = DatasetSpec.from_config(config)
    source = SourceHandle.resolve(spec)
    return source, label_column(source, spec.tensors.get('gt_labels'))


def _type(source: SourceHandle, column: str) -> str:
    return type_in_words(columns_of(source)[column], source.base()[column])


def _metadata_changes(a: SourceHandle, b: SourceHandle, columns: Collection[str]) -> dict[str, tuple[Any, Any]]:
    found = _changed_keys('dataset', a.metadata(), b.metadata())
    for name in columns:
        found |= _changed_keys(name, *(_metadata(source.base()[name]) for source in (a, b)))
    return found


def _metadata(column: Any) -> dict[str, Any]:
    return {key: column.metadata[key] for key in column.metadata.keys()}  # noqa: SIM118  no dict


def _changed_keys(owner: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = dict.fromkeys([*one, *other])
    return {
        f'{owner}.{key}': (one.get(key), other.get(key)) for key in keys if repr(one.get(key)) != repr(other.get(key))
    }
