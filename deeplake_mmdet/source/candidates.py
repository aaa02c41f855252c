"""Which pins might name the rows of an opened object, the likeliest first. Each is a guess that has to be checked."""

from __future__ import annotations

from collections.abc import Iterator

from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import DeepLakeMMDetError
from deeplake_mmdet.source.fold import fold, is_random
from deeplake_mmdet.source.open import open_recipe
from deeplake_mmdet.source.recipe import Opened, Recipe
from deeplake_mmdet.source.traces import Trace

Pins = dict[str, str]

# Opening one costs milliseconds locally, and a second over a slow network.
_MOST_COMMITS = 100
# What a commit can do without changing the rows that were there before.
_HARMLESS = ('Created column', 'Appended', 'Set metadata')
# Where format 3 keeps saved views.
VIEWS_OF_FORMAT_3 = '/.queries/'


def origin_of(trace: Trace, credentials: str | None) -> Opened | None:
    """The head of the branch that an object comes from; None if it cannot be opened.

    Args:
        trace: What the object tells.
        credentials: Reference to its credentials, or None.
    """
    if not trace.branch_id:
        return None
    try:
        recipe = Recipe(Location.parse(trace.uri), credentials=credentials)
        main = open_recipe(recipe)
        branches = main.parents[0].branches
        branch = next((name for name in branches.names() if branches[name].id == trace.branch_id), None)
        if branch in (None, main.branch):
            return main if branch else None
        return open_recipe(Recipe(recipe.location, branch=branch, credentials=credentials))
    except DeepLakeMMDetError:
        return None


def rewrites(origin: Opened) -> bool:
    """Whether a commit of the branch changed or removed stored rows, so that equal annotations prove little."""
    done = (operation for version in origin.parents[1].history for operation in version.operations)
    return any(not operation.startswith(_HARMLESS) for operation in done)


def pins_of(trace: Trace, origin: Opened | None) -> Iterator[Pins]:
    """Keys beside ``deeplake_path`` that might name the rows.

    Args:
        trace: What the object tells.
        origin: The head of its branch, or None.
    """
    if origin is None:
        yield from _pins_of_format_3(trace)
        return
    branch = {} if origin.branch == 'main' else {'deeplake_branch': origin.branch}
    if not trace.is_view:
        yield {**branch, 'deeplake_commit_id': trace.commit_id}
        return
    head, tip = origin.parents
    query = _query(trace)
    commits = [version.id for version in tip.history][::-1][:_MOST_COMMITS]
    on_commits = (
        [] if query is None else [{**branch, 'deeplake_commit_id': commit_id, **query} for commit_id in commits]
    )
    yield from on_commits[:1]
    for name in head.tags.names():
        yield {'deeplake_view_id': name}
        if query:
            yield {'deeplake_view_id': name, **query}
    yield from on_commits[1:]


def _pins_of_format_3(trace: Trace) -> Iterator[Pins]:
    """A view of format 3 tells its source only in the text of its query."""
    query = _query(trace)
    if trace.source is None or query is None:
        return
    ref = trace.source.partition('@')[2]
    uri, _, view = trace.uri.partition(VIEWS_OF_FORMAT_3)
    if view:
        yield {'deeplake_path': uri, 'deeplake_view_id': view, **query}
    elif ref:
        yield {'deeplake_commit_id': ref, **query}
        yield {'deeplake_branch': ref, **query}
    else:
        yield query


def _query(trace: Trace) -> Pins | None:
    """The key for all queries of a trace, none where they select everything, or None where no key would do."""
    if is_random(trace.queries):
        return None
    text = fold(trace.queries) if trace.queries else ''
    return None if text is None else {'deeplake_query': text} if text else {}
