"""The branch that results are written to: made from the scored commit, or there already with the same rows.

All that can be refused is refused before the model runs, and looked at again before anything is written, because hours
may lie between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.convert.lock import ImportLock
from deeplake_mmdet.errors import ConfigError, RevisionChangedError
from deeplake_mmdet.scoring.columns import COLUMNS, column
from deeplake_mmdet.source.column_types import RESULTS, same_type
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.same_rows import difference
from deeplake_mmdet.source.unfinished import UNFINISHED
from deeplake_mmdet.versions.opening import Place
from deeplake_mmdet.versions.reading import columns_of
from deeplake_mmdet.writeback.stored_columns import WRITE, StoredColumn, prefix


@dataclass
class Branch:
    """A branch, and what it was when it was looked at first.

    Attributes:
        place: The dataset.
        name: Of the branch.
        commit: The scored commit, all its rows.
        run: Name of the run whose columns are written, or None.
        writes: Of the columns of this run that were there: which write-back they are of.
    """

    place: Place
    name: str
    commit: SourceHandle
    run: str | None
    writes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, place: Place, name: str, commit: SourceHandle, run: str | None) -> Branch:
        """Look at the branch before the model runs.

        Raises:
            ConfigError: It has a name that no results are written to.
            RevisionChangedError: It has other rows than the scored commit.
            ColumnError: A column of the run is there with another type.
            SourceError: The dataset cannot be opened.
        """
        branch = cls(place, name, commit, run)
        head = branch.head()
        if head is not None:
            branch.check(head)
            branch.writes = branch.writes_of(head)
        return branch

    def head(self) -> SourceHandle | None:
        """The newest commit of the branch; None where it is to be made.

        Raises:
            ConfigError: It has a name that no results are written to.
        """
        dataset = self.place.reader()
        with self.place.guarded():
            branches, views = list(dataset.branches.names()), list(dataset.tags.names())
        self._check_name(views)
        if self.name not in branches:
            return None
        return SourceHandle.resolve(DatasetSpec(self.place.location, self.place.credentials, branch=self.name))

    def _check_name(self, views: Collection[str]) -> None:
        reason = ''
        if self.name == 'main':
            reason = 'results never go to the main branch, so that trainings on it stay what they are'
        elif self.name in views:
            reason = 'a view has this name, and views do not change'
        elif self.name == UNFINISHED:
            reason = 'imports use this name'
        elif not self.name.strip() or '@' in self.name or '/' in self.name:
            reason = 'DATASET@BRANCH could not name it'
        if reason:
            raise ConfigError(
                f'Target.of(branch=) expected the name of a branch for results, but got {self.name!r}: {reason}. '
                'Choose another name.'
            )

    def check(self, head: SourceHandle) -> None:
        """Refuses a branch that results of the scored commit cannot be written to.

        Raises:
            RevisionChangedError, ColumnError: See `of`.
        """
        columns = columns_of(head)
        for name in self.own(columns):
            stored = StoredColumn.of(name.removeprefix(prefix(self.run)), self.run)
            stored.check_type(columns[name], f'{self.place.uri}@{self.name}')
        scored, found = self.commit.revision, head.revision
        if (scored.branch, scored.commit_id) == (found.branch, found.commit_id):
            return
        names = [name for name in columns_of(self.commit) if not name.startswith(RESULTS)]
        differs = self._other_columns(names, columns) or difference(self.commit, head, all_images=False, names=names)
        if differs:
            raise RevisionChangedError(
                f'Target.of(branch={self.name!r}) expected the rows of {scored.branch}:{scored.commit_id}, which are '
                f'scored, but branch {self.name!r} of {self.place.uri} has {differs}: one of the two was edited since. '
                f'Score {self.place.uri}@{self.name} itself, or choose another branch.'
            )

    def _other_columns(self, names: Collection[str], found: dict[str, Any]) -> str:
        types = columns_of(self.commit)
        for name in names:
            if name not in found:
                return f'no column {name!r}'
            if not same_type(found[name], types[name]):
                return f'another type in column {name!r}'
        return ''

    def own(self, columns: Collection[str]) -> list[str]:
        """The columns that this run may write."""
        start = prefix(self.run)
        names = [name for name in columns if name.startswith(start) and '/' not in name.removeprefix(start)]
        return [name for name in names if _is_known(name.removeprefix(start))]

    def writes_of(self, head: SourceHandle) -> dict[str, str]:
        """Of each column of this run, which write-back it is of."""
        base = head.base()
        return {name: str(dict(base[name].metadata.to_dict()).get(WRITE, '')) for name in self.own(columns_of(head))}

    def check_again(self, head: SourceHandle, names: Collection[str]) -> None:
        """Refuses to write over what another process wrote since the branch was looked at first.

        Args:
            head: The newest commit.
            names: The columns that will be written.

        Raises:
            RevisionChangedError: Somebody wrote these columns, or edited rows.
            ColumnError: As `of`.
        """
        self.check(head)
        now = self.writes_of(head)
        changed = [name for name in names if now.get(name) != self.writes.get(name)]
        if changed:
            raise RevisionChangedError(
                f'Target.write(columns=) expected the columns {prefix(self.run)}… of {self.place.uri}@{self.name} as '
                f'they were when the scoring began, but another process wrote {changed[0]!r} meanwhile, and its '
                'results are kept. Score again, or give the run a name (--run, run=).'
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other write-backs and imports of this package away; on remote storage, they are noticed only.

        Raises:
            ConversionError: There is one.
        """
        lock = None
        if '://' not in self.place.uri:
            folder = Path(self.place.uri).resolve()
            with suppress(OSError):  # a folder beside which nothing can be written
                path = folder.with_name(f'.{folder.name}.import-lock')
                lock = ImportLock(path, self.place.uri, 'Target.write', 'branch')
        try:
            yield
        finally:
            if lock is not None:
                lock.release()


def _is_known(name: str) -> bool:
    try:
        column(name)
    except KeyError:
        return False
    return name in COLUMNS or 'loss' in name
