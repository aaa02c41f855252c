"""The identity of what was read: enough to open exactly the same rows again, and to say so in a log."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Revision:
    """One resolved revision of a dataset.

    Deep Lake's version ids are counters: unique neither across datasets nor across branches. Only (`dataset_id`,
    `branch`, `commit_id`) together name a version.

    Attributes:
        uri: Where the dataset is.
        dataset_id: Deep Lake's own id of the dataset.
        branch: Name of the branch.
        commit_id: Id of the version on that branch; never a moving head. Empty if the program had the data open, and
            Deep Lake does not tell the version of that.
        view_id: The saved view, or None. Of what the program had open: its key, ``opened://…``, and what it is.
        query: The TQL query, applied to the commit or the view, or None.
        rows: Number of rows selected.
        digest: Hash of the selected rows' numbers and annotations; empty until the annotations were read.
        format: Deep Lake's format of the dataset, 3 or 4.
    """

    uri: str
    dataset_id: str
    branch: str
    commit_id: str
    view_id: str | None
    query: str | None
    rows: int
    digest: str = ''
    format: int = 4

    def to_strings(self) -> dict[str, str]:
        """As plain strings, the form in which it travels in a dataset's metainfo and in a checkpoint."""
        return {key: '' if value is None else str(value) for key, value in asdict(self).items()}

    def __str__(self) -> str:
        place = f'{self.branch}:{self.commit_id}' if self.commit_id else f'{self.branch} (commit unknown)'.lstrip()
        parts = [f'{self.uri} @ {place}']
        if self.view_id and self.view_id.startswith('opened://'):
            parts.append(self.view_id)
        elif self.view_id:
            parts.append(f'view {self.view_id!r}')
        if self.query:
            parts.append(f'query {self.query!r}')
        return ', '.join([*parts, f'{self.rows} rows'])
