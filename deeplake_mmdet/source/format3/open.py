"""Opening a dataset of format 3: the version, branch or saved view that is asked for, or a refusal.

Deep Lake 4 reads the rows of one version by a query that names it. Everything else is settled here: which version that
is, which rows a view has, whether somebody is writing, and whether all files are there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import ConfigError, RevisionNotFoundError, SourceError
from deeplake_mmdet.source.format3.files import Format3Files
from deeplake_mmdet.source.format3.health import Health
from deeplake_mmdet.source.format3.history import History
from deeplake_mmdet.source.format3.lock import check_lock
from deeplake_mmdet.source.format3.tensors import check_version
from deeplake_mmdet.source.format3.views import ROWS, View, find_view, read_views
from deeplake_mmdet.source.pins import closest, known
from deeplake_mmdet.source.recipe import Opened, Recipe
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait

FORMAT = 3


def is_format3(uri: str, credentials: Credentials) -> bool:
    """Whether there is a dataset of format 3."""
    return Format3Files(uri, credentials).find('dataset_meta.json') is not None


def open_format3(recipe: Recipe, credentials: Credentials) -> Opened:
    """Open what a recipe names, without its query.

    Raises:
        RevisionNotFoundError, ConfigError, SourceError: As `deeplake_mmdet.source.open.open_recipe`; also
            for a head that is being written, for damaged files and for data of releases that are too old.
    """
    uri = recipe.location.uri
    files = Format3Files(uri, credentials)
    check_version(files)
    history = History.read(files)
    recipe = _resolve_ref(recipe, files, history)
    view = find_view(files, history, recipe.view_id) if recipe.view_id else None
    branch, commit_id = _version(recipe, history, view)
    is_head = view is None and recipe.commit_id is None
    remarks = check_lock(files, history, commit_id, is_head=is_head)
    if is_head and _is_clean(files, history, commit_id):
        commit_id = str(history.commits[commit_id].parent)
    if history.commits[commit_id].time is None:
        remarks.append(
            f'{uri}: version {commit_id!r}, the head of branch {branch!r}, is not committed. What it holds may change '
            'under this id: commit it with Deep Lake 3 to be able to read it again.'
        )
    health, base, rows = _rows(files, history, commit_id, view, credentials)
    return Opened(
        base=base,
        selection=base,
        rows=rows,
        dataset_id=Health.identity(files, history),
        branch=branch,
        commit_id=commit_id,
        view_id=recipe.view_id,
        format=FORMAT,
        places=None if view is None or view.is_copy else rows,
        health=health,
        remarks=(*remarks, *health.remarks),
    )


def _resolve_ref(recipe: Recipe, files: Format3Files, history: History) -> Recipe:
    """Turn ``path@name`` into a branch, a view or a commit, as Deep Lake 3 and this package write them."""
    ref = recipe.location.ref
    if ref is None:
        return recipe
    views = read_views(files)
    role = 'branch' if ref in history.branches else 'view_id' if ref in views else 'commit_id'
    if role == 'commit_id' and not any(commit.startswith(ref) for commit in history.commits):
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_path=) names {ref!r}, which is no branch, view or commit of {files.uri!r}. '
            f'{known("branches", history.branches)} {known("views", views)} {known("commits", history.commits)}'
            f'{closest(ref, [*history.branches, *views])}'
        )
    found, given = ref, getattr(recipe, role)
    if role == 'commit_id':
        found, given = history.find(ref), history.find(given) if given else None
    if given not in (None, found):
        raise ConfigError(
            f'DeepLakeDataset(deeplake_path=) ends in @{ref}, but deeplake_{role} is {given!r}. Give one of them.'
        )
    return replace(recipe, location=Location(files.uri), **{role: found})


def _version(recipe: Recipe, history: History, view: View | None) -> tuple[str, str]:
    """Branch and version that are asked for; a view has its own.

    Raises:
        ConfigError: Branch, commit and view contradict each other.
    """
    wanted = history.find(recipe.commit_id) if recipe.commit_id else None
    if view is not None:
        if wanted not in (None, view.commit_id):
            raise ConfigError(
                f'DeepLakeDataset(deeplake_commit_id={recipe.commit_id!r}) contradicts deeplake_view_id={view.id!r}, '
                f'which shows commit {history.commits[view.commit_id]}. Give one of them, or both of one commit.'
            )
        return history.on_branch(view.commit_id, recipe.branch, f'deeplake_view_id={view.id!r}'), view.commit_id
    if wanted is not None:
        return history.on_branch(wanted, recipe.branch, f'deeplake_commit_id={recipe.commit_id!r}'), wanted
    return recipe.branch or 'main', history.head(recipe.branch)


def _is_clean(files: Format3Files, history: History, commit_id: str) -> bool:
    """Whether a head differs in nothing from the commit before it; Deep Lake 3 begins a version after each commit."""
    commit = history.commits[commit_id]
    if commit.time is not None or commit.parent is None:
        return False
    folder = f'versions/{commit_id}'
    keys = [str(key) for key in files.json(f'{folder}/dataset_meta.json').get('tensors', ())]
    written = files.find_all([f'{folder}/dataset_diff', *(f'{folder}/{key}/commit_diff' for key in keys)])
    return all(content is None for content in written)


def _rows(
    files: Format3Files, history: History, commit_id: str, view: View | None, credentials: Credentials
) -> tuple[Health, Any, np.ndarray]:
    """The dataset that row numbers refer to, and the rows of the view in it, or all."""
    if view is None:
        health = Health.of(files, history, commit_id)
        base = open_rows(f'{files.uri}@{commit_id}', health, credentials)
        return health, base, np.arange(len(base), dtype=np.int64)
    own = Format3Files(f'{files.uri}/{view.folder}', credentials)
    own_history = History.read(own)
    own_health = Health.of(own, own_history, own_history.head('main'))
    shown = open_rows(own.uri, own_health, credentials)
    if view.is_copy:
        return own_health, shown, np.arange(len(shown), dtype=np.int64)
    if ROWS not in own_health.tensors:
        raise own.damaged('dataset_meta.json', f'lists no tensor {ROWS!r}')
    own_health.check(ROWS)
    numbers = wait(shown[ROWS].get_async(slice(0, len(shown))), f'Reading view {view.id!r}', OPEN_DEADLINE_S)
    rows = np.concatenate([np.asarray(number, np.int64).reshape(-1) for number in numbers] or [np.zeros(0, np.int64)])
    health, base, _ = _rows(files, history, commit_id, None, credentials)
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(base):
        raise SourceError(
            f'DeepLakeDataset(deeplake_view_id=) names {view.id!r}, which shows row {int(rows.max())}, but its version '
            f'{commit_id!r} of {files.uri!r} has {len(base)} rows. The dataset or the view is damaged.'
        )
    return health, base, rows


def open_rows(source: str, health: Health, credentials: Credentials) -> Any:
    """The rows of a version, as Deep Lake 3 counts them: as many as the shortest of its tensors has.

    Args:
        source: Path of the dataset, with the version behind an @.
        health: Of this version.
        credentials: Storage credentials.
    """
    import deeplake

    what = f'Opening {source}'
    whole = wait(
        deeplake.query_async(f'select * from "{source}"', **credentials.open_arguments()), what, OPEN_DEADLINE_S
    )
    if len(whole) < health.rows:
        raise SourceError(f'{what}: expected {health.rows} rows, but got {len(whole)}. The dataset is damaged.')
    if len(whole) == health.rows:
        return whole
    return wait(whole.query_async(f'select * limit {health.rows}'), what, OPEN_DEADLINE_S)
