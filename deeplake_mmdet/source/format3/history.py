"""The commits and branches of a format-3 dataset, as Deep Lake 3 wrote them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.errors import ConfigError, RevisionNotFoundError
from deeplake_mmdet.source.format3.files import FIRST_COMMIT, Format3Files
from deeplake_mmdet.source.pins import closest, known

_FILE = 'version_control_info.json'


@dataclass(frozen=True)
class Commit:
    """One version.

    Attributes:
        id: Its id.
        branch: The branch that it was made on.
        parent: Id of the version before it, or None.
        time: When it was committed, in seconds since 1970; None for the head of a branch, which may still change.
        message: Commit message, or ''.
    """

    id: str
    branch: str
    parent: str | None
    time: float | None
    message: str

    def __str__(self) -> str:
        return f'{self.id!r} ({self.branch}{f": {self.message}" if self.message else ""})'


@dataclass(frozen=True)
class History:
    """All versions of a dataset.

    Attributes:
        uri: The dataset, for messages.
        commits: By id, in the order of the file.
        branches: Id of the head of each branch.
    """

    uri: str
    commits: Mapping[str, Commit]
    branches: Mapping[str, str]

    @classmethod
    def read(cls, files: Format3Files) -> History:
        """Read it.

        Raises:
            SourceError: The file is missing or damaged.
        """
        document = files.json(_FILE)
        try:
            commits = {commit_id: _commit(commit_id, item) for commit_id, item in document['commits'].items()}
            branches = {str(name): str(commit_id) for name, commit_id in document['branches'].items()}
        except (AttributeError, KeyError, TypeError) as error:
            raise files.damaged(_FILE, f'describes no versions ({error!r})') from None
        parents = {commit.parent for commit in commits.values() if commit.parent is not None}
        lost = sorted((parents | set(branches.values()) | {FIRST_COMMIT}) - set(commits))
        if lost or not branches:
            raise files.damaged(_FILE, f'lacks the versions {lost}' if lost else 'names no branch')
        return cls(files.uri, commits, branches)

    def ancestors(self, commit_id: str) -> list[str]:
        """A version and those before it, the newest first."""
        found: list[str] = []
        current: str | None = commit_id
        while current is not None and current not in found:
            found.append(current)
            current = self.commits[current].parent
        return found

    def head(self, branch: str | None) -> str:
        """Id of the head of a branch, or of the main one.

        Raises:
            RevisionNotFoundError: There is no such branch.
        """
        name = branch or 'main'
        if name not in self.branches:
            raise RevisionNotFoundError(
                f'DeepLakeDataset(deeplake_branch=) names {name!r}, which {self.uri!r} does not have. '
                f'{known("branches", self.branches)}{closest(name, self.branches)}'
            )
        return self.branches[name]

    def find(self, text: str) -> str:
        """The version of an id, or of the beginning of one.

        Raises:
            RevisionNotFoundError: No version is called so, or several are.
        """
        if text in self.commits:
            return text
        fitting = [commit for commit_id, commit in self.commits.items() if commit_id.startswith(text)]
        if len(fitting) == 1:
            return fitting[0].id
        key = f'DeepLakeDataset(deeplake_commit_id=) names {text!r}, which'
        if fitting:
            candidates = ', '.join(map(str, fitting[:20]))
            raise RevisionNotFoundError(
                f'{key} begins the ids of {len(fitting)} commits of {self.uri!r}: {candidates}. Give more of the id.'
            )
        ids = [commit.id for commit in self.commits.values()]
        raise RevisionNotFoundError(f'{key} is no commit of {self.uri!r}. {known("commits", ids)}{closest(text, ids)}')

    def on_branch(self, commit_id: str, branch: str | None, pin: str) -> str:
        """The branch under which a version is read: the one that is asked for, else the one that it was made on.

        Raises:
            ConfigError: The branch that is asked for does not lead to the version. `pin` says who named the version.
        """
        if branch is None:
            return self.commits[commit_id].branch
        if commit_id not in self.ancestors(self.head(branch)):
            raise ConfigError(
                f'DeepLakeDataset(deeplake_branch={branch!r}) contradicts {pin}: the history of that branch does not '
                f'hold commit {self.commits[commit_id]}. Give one of them.'
            )
        return branch


def _commit(commit_id: str, item: Mapping[str, Any]) -> Commit:
    time = item['commit_time']
    return Commit(
        str(commit_id),
        str(item['branch']),
        item['parent'],
        None if time is None else float(time),
        str(item['commit_message'] or ''),
    )
