"""Class names: where they come from, and how the dataset's labels map onto the ones a run asks for, by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeplake_mmdet.annotations.ragged import Place
from deeplake_mmdet.errors import AnnotationError, ConfigError


def class_names(stored: Sequence[str] | None, wanted: Sequence[str] | str | None) -> tuple[str, ...]:
    """The classes of a run: ``metainfo.classes`` if given, else the dataset's own.

    Args:
        stored: Class names in the metadata of the label column, or None.
        wanted: ``metainfo['classes']``, or None.

    Raises:
        ConfigError: Neither is there; names are repeated; a wanted name is not in the dataset.
    """
    if stored is not None:
        _no_duplicates('The metadata of the label column', stored)
    if wanted is None:
        if stored is None:
            raise ConfigError(
                "DeepLakeDataset(metainfo=) is needed: the label column has no 'class_names' in its metadata. "
                "Give metainfo=dict(classes=('first', 'second', …)) in the order of the labels 0, 1, …"
            )
        return tuple(stored)
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted) if isinstance(wanted, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'DeepLakeDataset(metainfo.classes=) expected a sequence of names, but got {wanted!r}.')
    _no_duplicates('DeepLakeDataset(metainfo.classes=)', names)
    missing = [name for name in names if stored is not None and name not in stored]
    if missing:
        raise ConfigError(
            f'DeepLakeDataset(metainfo.classes=) names {missing}, which the dataset does not have. '
            f'metainfo.classes is {list(names)}, the classes of the dataset are {list(stored or ())}.'
        )
    return names


def _no_duplicates(owner: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ConfigError(f'{owner} expected every class name once, but got {repeated} more than once: {list(names)}.')


def map_labels(labels: np.ndarray, stored: Sequence[str] | None, classes: Sequence[str], where: Place) -> np.ndarray:
    """Turn stored labels into positions in `classes`, by name.

    Args:
        labels: Stored labels, integers or class names, shape (M,).
        stored: The names that stored integers stand for, or None if `classes` are those.
        classes: The classes of the run.
        where: Names the row of a wrong label.

    Returns:
        int32 array of shape (M,); -1 where a label's class is not among `classes`.

    Raises:
        AnnotationError: A label has no name.
    """
    names = tuple(stored if stored is not None else classes)
    if labels.dtype.kind in 'OU':
        return _map_names(labels, classes, names, where)
    if labels.dtype.kind == 'f' and len(labels):
        raise AnnotationError(f'{where(0)}: expected integer labels, but got {labels.dtype} values.')
    numbers = labels.astype(np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= len(names)))
    if len(wrong):
        raise AnnotationError(
            f'{where(wrong[0])}: expected a label of 0 to {len(names) - 1}, but got {numbers[wrong[0]]}. '
            f'There are {len(names)} class names: {list(names)}. {len(wrong)} labels are wrong in all.'
        )
    position = {name: i for i, name in enumerate(classes)}
    table = np.array([position.get(name, -1) for name in names], np.int32)
    return table[numbers] if len(numbers) else np.zeros(0, np.int32)


def _map_names(labels: np.ndarray, classes: Sequence[str], names: Sequence[str], where: Place) -> np.ndarray:
    position = dict.fromkeys(names, -1) | {name: i for i, name in enumerate(classes)}
    unknown = [i for i, label in enumerate(labels) if label not in position]
    if unknown:
        raise AnnotationError(
            f'{where(unknown[0])}: the label {labels[unknown[0]]!r} is none of the class names {list(names)}.'
        )
    return np.array([position[label] for label in labels], np.int32)
