"""What to open, in words that survive pickling.

Deep Lake's own pickles lose the version, the view and the rows, and carry secrets. So no Deep Lake object is ever
pickled: a process that reads gets a recipe and opens it itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.location import Location


@dataclass(frozen=True)
class Recipe:
    """What to open; all of it plain text, no secret in it.

    Attributes:
        location: The dataset's address; a name in the path (``path@name``) may still be unresolved.
        branch: Branch, or None for the main one.
        commit_id: Version on that branch, or None for its head.
        view_id: Saved view, or None.
        query: TQL applied last, or None.
        credentials: Reference into the vault (`deeplake_mmdet.config.credentials`), or None.
    """

    location: Location
    branch: str | None = None
    commit_id: str | None = None
    view_id: str | None = None
    query: str | None = None
    credentials: str | None = None

    @classmethod
    def of(cls, spec: DatasetSpec, credentials: str | None) -> Recipe:
        """The recipe that a config asks for."""
        return cls(spec.location, spec.branch, spec.commit_id, spec.view_id, spec.query, credentials)


@dataclass(frozen=True)
class Opened:
    """What a recipe opened. Keep it: Deep Lake's columns do not keep their dataset alive.

    Attributes:
        base: What row numbers refer to: the dataset at its commit, or the saved view.
        selection: The rows asked for: `base` itself, or the result of the query on it.
        rows: Numbers of these rows in `base`, int64 of shape (N,).
        dataset_id: Deep Lake's id of the dataset.
        branch: Name of the branch.
        commit_id: The commit, resolved.
        view_id: The saved view, or None.
        parents: Everything that was opened on the way.
        format: Deep Lake's format of the dataset, 3 or 4.
        places: Where the rows stand in `selection`, int64 of shape (N,); None where they are all of it, in order.
        health: Of format 3: checks of its columns, to be made before they are read.
        remarks: For the log.
        uri: Where the dataset is, if the recipe's location does not say so.
    """

    base: Any
    selection: Any
    rows: Any
    dataset_id: str
    branch: str
    commit_id: str
    view_id: str | None
    parents: tuple[Any, ...] = ()
    format: int = 4
    places: Any = None
    health: Any = None
    remarks: tuple[str, ...] = ()
    uri: str = ''
