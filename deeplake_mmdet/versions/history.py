"""The branches of a dataset and the commits of a branch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deeplake_mmdet.source.waiting import OPEN_DEADLINE_S, wait
from deeplake_mmdet.versions.opening import Place, one_of

# Deep Lake tells what a commit did in words, column by column, the columns by a number. A row more is a row more in
# every column.
_ROWS = re.compile(r'(Appended|Deleted|Updated) (\d+) rows')
_CREATED = re.compile(r"Created column '(.*?)'")
_METADATA = re.compile(r'Set metadata')


@dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        id: Unique on its branch only.
        time: When it was made, by the clock of who made it.
        message: Of the commit.
        changes: What it did, in words; empty where it did nothing.
    """

    id: str
    time: datetime
    message: str
    changes: str


@dataclass(frozen=True)
class BranchHead:
    """One branch.

    Attributes:
        name: Of the branch.
        base: The branch and commit that it was made from, ``branch:commit``; empty for the first one.
        commit_id: Its newest commit.
        rows: Rows of that.
        time: When that was made.
        message: Of that.
    """

    name: str
    base: str
    commit_id: str
    rows: int
    time: datetime
    message: str


def list_commits(path: Any, branch: str | None = None, credentials: Any = None) -> list[Commit]:
    """The commits of a branch, the newest first.

    Args:
        path: Of the dataset, ``PATH`` or ``PATH@branch``.
        branch: Name of the branch; by default the one in the path, else ``main``.
        credentials: What ``deeplake_credentials`` holds in a config.

    Raises:
        RevisionNotFoundError: There is no such branch.
        ConfigError, SourceError: The dataset cannot be opened.
    """
    place = Place.of(path, credentials)
    head, name = place.reader(), branch or place.location.ref or 'main'
    with place.guarded():
        one_of(name, list(head.branches.names()), 'list_commits(branch=)', 'branch', 'branches', place.uri)
        tip = wait(head.branches[name].open_async(), f'Opening branch {name!r}', OPEN_DEADLINE_S)
        commits = [
            Commit(entry.id, entry.client_timestamp, entry.message, _changes(entry.operations)) for entry in tip.history
        ]
    return commits[::-1]


def list_branches(path: Any, credentials: Any = None) -> list[BranchHead]:
    """All branches, ``main`` first and then by name.

    Args:
        path, credentials: As `list_commits`.

    Raises:
        ConfigError, SourceError: The dataset cannot be opened.
    """
    place = Place.of(path, credentials)
    head = place.reader()
    with place.guarded():
        names = {head.branches[name].id: name for name in head.branches.names()}
        ordered = sorted(names.values(), key=lambda name: (name != 'main', name))
        return [_branch(head, name, names) for name in ordered]


def _branch(head: Any, name: str, names: dict[str, str]) -> BranchHead:
    branch = head.branches[name]
    tip = wait(branch.open_async(), f'Opening branch {name!r}', OPEN_DEADLINE_S)
    newest = [(entry.id, entry.client_timestamp, entry.message) for entry in tip.history][-1]
    base = '' if branch.base is None else f'{names.get(branch.base[0], "a deleted branch")}:{branch.base[1]}'
    return BranchHead(name, base, newest[0], len(tip), newest[1], newest[2])


def _changes(operations: Sequence[str]) -> str:
    """What a commit did, the same for all columns said once."""
    rows: dict[str, set[int]] = {}
    counts: Counter[str] = Counter()
    created, others = [], []
    for operation in map(str, operations):
        if found := _ROWS.match(operation):
            rows.setdefault(found[1].lower(), set()).add(int(found[2]))
            counts[found[1].lower()] += 1
        elif found := _CREATED.match(operation):
            created.append(found[1])
        elif _METADATA.match(operation):
            counts['metadata'] += 1
        else:
            others.append(operation)
    said = [f'{_plural(max(numbers), "row")} {done}' for done, numbers in rows.items() if done != 'updated']
    if 'updated' in rows:
        fewest, most = min(rows['updated']), max(rows['updated'])
        span = _plural(most, 'row') if fewest == most else f'{fewest} to {most} rows'
        said.append(
            f'{span} updated in {"each of " if counts["updated"] > 1 else ""}{_plural(counts["updated"], "column")}'
        )
    said += [f'columns created: {", ".join(created)}'] if created else []
    said += ['metadata set'] if counts['metadata'] else []
    return '; '.join([*said, *others])


def _plural(count: int, what: str) -> str:
    return f'{count} {what}' + ('s' if count != 1 else '')
