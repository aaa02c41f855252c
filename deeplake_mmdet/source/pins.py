"""Branch, commit and view: each pin is honoured, or refused with what exists listed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import ConfigError, RevisionNotFoundError
from deeplake_mmdet.source.recipe import Recipe
from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait


def resolve_ref(recipe: Recipe, head: Any) -> Recipe:
    """Turn ``path@name`` into a branch or a view; opened as a path, a view's name would give all rows.

    Args:
        recipe: May have a name in its path.
        head: The Deep Lake dataset.

    Raises:
        RevisionNotFoundError: The name is neither.
        ConfigError: Another branch or view is asked for beside it.
    """
    ref = recipe.location.ref
    if ref is None:
        return recipe
    branches, views = list(head.branches.names()), list(head.tags.names())
    role = 'branch' if ref in branches else 'view_id' if ref in views else None
    if role is None:
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_path=) names {ref!r}, which is neither a branch nor a view of '
            f'{recipe.location.uri!r}. {known("branches", branches)} {known("views", views)}'
            f'{closest(ref, branches + views)}'
        )
    given = getattr(recipe, role)
    if given not in (None, ref):
        raise ConfigError(
            f'DeepLakeDataset(deeplake_path=) ends in @{ref}, but deeplake_{role} is {given!r}. Give one of them.'
        )
    return replace(recipe, location=Location(recipe.location.uri), **{role: ref})


def open_branch(head: Any, recipe: Recipe) -> Any:
    """The head of the branch that is asked for.

    Raises:
        RevisionNotFoundError: There is no such branch.
    """
    if recipe.branch in (None, 'main'):
        return head
    names = list(head.branches.names())
    if recipe.branch not in names:
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_branch=) names {recipe.branch!r}, which {recipe.location.uri!r} does not have. '
            f'{known("branches", names)}{closest(recipe.branch, names)}'
        )
    return wait(head.branches[recipe.branch].open_async(), f'Opening branch {recipe.branch!r}', OPEN_DEADLINE_S)


def open_commit(tip: Any, recipe: Recipe) -> tuple[str, Any]:
    """The commit that is asked for, or the newest: its id, and the dataset as it was then.

    Raises:
        RevisionNotFoundError: There is no such commit on the branch.
    """
    wanted = recipe.commit_id or tip.version
    ids = [version.id for version in tip.history][::-1]
    if wanted not in ids:
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_commit_id=) names {wanted!r}, which is no commit of branch '
            f'{recipe.branch or "main"!r} of {recipe.location.uri!r}. {known("commits", ids)}{closest(wanted, ids)}'
        )
    return wanted, wait(tip.history[wanted].open_async(), f'Opening commit {wanted}', OPEN_DEADLINE_S)


def open_view(head: Any, recipe: Recipe, deadline_s: float) -> tuple[str, str, Any]:
    """The saved view that is asked for: its branch, its commit, and its rows.

    Args:
        head: The Deep Lake dataset.
        recipe: Names the view.
        deadline_s: Seconds that opening it may take; a view that follows the head runs its query.

    Raises:
        RevisionNotFoundError: There is no such view.
        ConfigError: It shows another branch or commit than the ones that are asked for.
    """
    name, names = str(recipe.view_id), list(head.tags.names())
    if name not in names:
        raise RevisionNotFoundError(
            f'DeepLakeDataset(deeplake_view_id=) names {name!r}, which {recipe.location.uri!r} does not have. '
            f'{known("views", names)}{closest(name, names)}'
        )
    tag = head.tags[name]
    view = wait(tag.open_async(), f'Opening view {name!r}', deadline_s)
    branch = branch_of(view, head) or recipe.branch or 'main'
    if recipe.branch not in (None, branch):
        raise ConfigError(
            f'DeepLakeDataset(deeplake_branch={recipe.branch!r}) contradicts deeplake_view_id={name!r}, which was '
            f'saved on branch {branch!r}. Give one of them.'
        )
    # A view saved without a version follows the head.
    commit_id = tag.version or open_branch(head, replace(recipe, branch=branch)).version
    if recipe.commit_id not in (None, commit_id):
        raise ConfigError(
            f'DeepLakeDataset(deeplake_commit_id={recipe.commit_id!r}) contradicts deeplake_view_id={name!r}, which '
            f'shows commit {commit_id!r}{"" if tag.version else ", the head"}. Give one of them, or both of one commit.'
        )
    return branch, commit_id, view


def branch_of(view: Any, head: Any) -> str | None:
    """The branch of a saved view, which Deep Lake tells only in what it would pickle; None if it does not.

    Args:
        view: What opening a tag gave.
        head: The Deep Lake dataset.
    """
    try:
        state = json.loads(view.__getstate__()[0])
        branch_id = (state[0] if isinstance(state, list) else state)['branch_id']
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return next((name for name in head.branches.names() if head.branches[name].id == branch_id), None)


def known(what: str, names: Iterable[str]) -> str:
    """What there is, for a message."""
    names = list(names)
    shown = ', '.join(map(repr, names[:20])) + (f' and {len(names) - 20} more' if len(names) > 20 else '')
    return f'Known {what}: {shown or "none"}.'


def closest(wanted: str, names: Iterable[str]) -> str:
    """What was probably meant, for a message; empty if nothing is near."""
    close = difflib.get_close_matches(wanted, names, n=1)
    return f' Did you mean {close[0]!r}?' if close else ''
