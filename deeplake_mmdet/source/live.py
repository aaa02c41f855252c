"""Deep Lake objects that the program itself opened, found by a key that a config can carry: ``opened://…``.

Such an object cannot be opened again from words, so it is kept. Its key leads to it in the process that kept it and in
the processes forked from it, and nowhere else.

`keep` holds an object until `release`. After that it lives as long as a dataset that reads it.
"""

from __future__ import annotations

import atexit
import os
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplake_mmdet.config.location import OPENED
from deeplake_mmdet.errors import ConfigError, SourceNotFoundError
from deeplake_mmdet.source.recipe import Opened, Recipe


@dataclass(frozen=True, eq=False)
class LiveObject:
    """An opened dataset or view, and what is known of it; unknown texts are empty.

    Attributes:
        object: The Deep Lake object.
        description: What it is, for people: the kind of object, or its queries.
        uri: Where its dataset is.
        dataset_id: Deep Lake's id of the dataset.
        branch: Name of the branch.
        commit_id: The commit that it shows.
        format: Deep Lake's format of the dataset, 3 or 4.
    """

    object: Any
    description: str
    uri: str = ''
    dataset_id: str = ''
    branch: str = ''
    commit_id: str = ''
    format: int = 4


_kept: dict[str, LiveObject] = {}
_alive: weakref.WeakValueDictionary[str, LiveObject] = weakref.WeakValueDictionary()


def keep(live: LiveObject) -> str:
    """Hold an object until `release`; gives the key by which `open_live` finds it."""
    key = f'{OPENED}://{os.urandom(6).hex()}'
    _kept[key] = _alive[key] = live
    return key


def release(key: str) -> None:
    """Stop holding an object. Datasets that read it go on, and forked workers of theirs too.

    Deep Lake commits the uncommitted changes of a dataset when nobody holds it any more. So all objects are released
    when the process ends; otherwise these changes would be lost.

    Args:
        key: What `keep` gave; any other text is ignored, so that every ``deeplake_path`` may be passed.
    """
    _kept.pop(key, None)


@atexit.register
def _release_all(owner: int = os.getpid()) -> None:
    """Let go at exit; a forked process would commit the same changes once more."""
    if os.getpid() == owner:
        _kept.clear()


def open_live(recipe: Recipe) -> Opened:
    """The rows of a kept object, without the recipe's query; its row numbers are positions in it.

    Raises:
        SourceNotFoundError: This process does not have the object.
        ConfigError: The recipe pins something else than what the object shows.
    """
    key = recipe.location.uri
    live = _alive.get(key)
    if live is None:
        raise SourceNotFoundError(
            f'DeepLakeDataset(deeplake_path=) names {key!r}, an object that another process opened, or that nobody '
            'uses any more; it cannot be opened from here. Commit what is not committed, save a query as a view '
            "(view.tag('name')), and give deeplake_path and deeplake_view_id."
        )
    name = f'{key} ({live.description})'
    _check_pins(recipe, {'branch': live.branch or 'main', 'commit_id': live.commit_id, 'view_id': name})
    return Opened(
        base=live.object,
        selection=live.object,
        rows=np.arange(len(live.object), dtype=np.int64),
        dataset_id=live.dataset_id,
        branch=live.branch,
        commit_id=live.commit_id,
        view_id=name,
        parents=(live,),
        uri=live.uri,
        format=live.format,
    )


def _check_pins(recipe: Recipe, own: dict[str, str]) -> None:
    for pin, shown in own.items():
        wanted = getattr(recipe, pin)
        if wanted and wanted != shown:
            raise ConfigError(
                f'DeepLakeDataset(deeplake_{pin}={wanted!r}) cannot be applied to {own["view_id"]}, which is opened '
                f'already{f" at {shown!r}" if shown and pin != "view_id" else ""}. Leave it out, or open what it names.'
            )
