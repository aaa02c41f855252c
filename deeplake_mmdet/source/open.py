"""Opening one revision: exactly what is asked for, or a refusal with the reason, and no wait without an end.

Everything here uses Deep Lake's asynchronous calls with a deadline, because its blocking ones cannot be interrupted.
"""

from __future__ import annotations

import difflib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from deeplake_mmdet.config.credentials import Credentials, unstash
from deeplake_mmdet.errors import DeepLakeMMDetError, RevisionChangedError, SourceError, SourceNotFoundError
from deeplake_mmdet.source.fork_gate import guard_forks, reading
from deeplake_mmdet.source.format3.open import is_format3, open_format3
from deeplake_mmdet.source.live import open_live
from deeplake_mmdet.source.marks import mark_of
from deeplake_mmdet.source.pins import open_branch, open_commit, open_view, resolve_ref
from deeplake_mmdet.source.query import apply_query
from deeplake_mmdet.source.recipe import Opened, Recipe
from deeplake_mmdet.source.unfinished import hidden_folder, refuse_unfinished
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, QUERY_DEADLINE_S, wait


def open_recipe(recipe: Recipe) -> Opened:
    """Open exactly what a recipe names.

    Raises:
        SourceNotFoundError: Nothing there.
        RevisionNotFoundError: Unknown branch, commit or view; the message lists the known ones.
        QueryError: The TQL is malformed, names an unknown column, or selects no row.
        ConfigError: The pins contradict each other.
        SourceError: The storage refused, or gave no answer in time; a dataset of format 3 is damaged, being written,
            or too old.
    """
    credentials = unstash(recipe.credentials)
    guard_forks()
    try:
        with reading():
            return _open(recipe, credentials)
    except DeepLakeMMDetError:
        raise
    except Exception as error:  # Deep Lake's errors have no common base, and their text may hold a key
        raise SourceError(refused(recipe.location.uri, credentials, error)) from None


def _open(recipe: Recipe, credentials: Credentials) -> Opened:
    if recipe.location.is_opened:
        return _queried(open_live(recipe), recipe, QUERY_DEADLINE_S)
    head = open_head(recipe.location.uri, credentials)
    if head is None:
        if not is_format3(recipe.location.uri, credentials):
            raise SourceNotFoundError(nothing_at(recipe.location.uri, recipe.location.ref))
        return _queried(open_format3(recipe, credentials), recipe, QUERY_DEADLINE_S)
    recipe = resolve_ref(recipe, head)
    refuse_unfinished(head, recipe.location.uri, recipe.branch)
    patience = QUERY_DEADLINE_S if recipe.location.is_remote else math.inf
    branch, tip = recipe.branch or 'main', open_branch(head, recipe)
    if recipe.view_id is None:
        commit_id, base = open_commit(tip, recipe)
    else:
        branch, commit_id, base = open_view(head, recipe, patience)
    rows = np.arange(len(base), dtype=np.int64)
    opened = Opened(base, base, rows, head.id, branch, commit_id, recipe.view_id, (head, tip))
    return _queried(opened, recipe, patience)


def _queried(opened: Opened, recipe: Recipe, patience: float) -> Opened:
    return apply_query(opened, recipe.query, patience) if recipe.query else opened


def open_head(uri: str, credentials: Credentials) -> Any:
    """The dataset of format 4, or None if there is none."""
    import deeplake

    arguments = credentials.open_arguments()
    # Asking first costs 10 ms; opening in a bucket that does not exist costs 30 s.
    if not wait(deeplake.exists_async(uri, **arguments), f'Looking for {uri}', OPEN_DEADLINE_S):
        return None
    return wait(deeplake.open_read_only_async(uri, **arguments), f'Opening {uri}', OPEN_DEADLINE_S)


def nothing_at(uri: str, ref: str | None) -> str:
    message = f'DeepLakeDataset(deeplake_path=) found no Deep Lake dataset at {uri!r}.'
    if ref:
        message += f' The name behind the @, {ref!r}, is looked up as a branch or a view of it.'
    if uri.startswith('mem://'):
        return f'{message} Data in memory is known only to the process that wrote it, and to its forked children.'
    if '://' in uri:
        return f'{message} Check the bucket, the path and deeplake_credentials.'
    return f'{message} {_neighbour(uri)}'


def _neighbour(path: str) -> str:
    """What there is instead, near a local path."""
    if hidden_folder(Path(path)).exists():
        return 'An import to it is unfinished: run the same command (deeplake-mmdet convert …) again to finish it.'
    if os.path.exists(path):
        return 'The path exists, but is none.'
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return f'The folder {folder!r} does not exist.'
    close = difflib.get_close_matches(name, os.listdir(folder), n=1)
    return f'Did you mean {os.path.join(folder, close[0])!r}?' if close else f'The folder {folder!r} exists.'


def refused(uri: str, credentials: Credentials, error: Exception) -> str:
    detail = credentials.scrub(str(error)) or 'no further message'
    advice = 'Check the path, the network and deeplake_credentials (or the environment that provides them).'
    return f'{uri} could not be opened: {type(error).__name__}: {detail}. {advice}'


def verify_reopened(opened: Opened, *, dataset_id: str, commit_id: str, base_rows: int, mark: str) -> None:
    """Refuse a reopened dataset that is not the one resolved before.

    Args:
        opened: What was opened again.
        dataset_id, commit_id, base_rows: What was resolved.
        mark: Its `mark_of`.

    Raises:
        RevisionChangedError: Another dataset, commit, view of the same name, or number of rows. A lost commit log, for
            one, opens as an empty dataset without an error.
    """
    found = (opened.dataset_id, opened.commit_id, len(opened.base))
    if found != (dataset_id, commit_id, base_rows):
        raise RevisionChangedError(
            'The dataset changed since it was resolved: '
            f'expected dataset {dataset_id}, commit {commit_id}, {base_rows} rows, but found dataset {found[0]}, '
            f'commit {found[1]}, {found[2]} rows. It may have been deleted, damaged or written anew.'
        )
    if mark_of(opened) != mark:
        what = f'view {opened.view_id!r}' if opened.view_id else f'commit {commit_id}'
        raise RevisionChangedError(
            f'The dataset changed since it was resolved: its {what} is another one of the same name. It was deleted '
            'and made anew meanwhile.'
        )
