"""Editing a version on a branch, as one commit: rows and objects dropped, objects relabelled.

The columns of one entry an object stay in step (`deeplake_mmdet.versions.object_columns`). Views that were saved before
keep their rows and values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.location import Location
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.handle import SourceHandle
from deeplake_mmdet.source.pins import closest, known
from deeplake_mmdet.source.revision import Revision
from deeplake_mmdet.versions.applying import check_edit, write_edit
from deeplake_mmdet.versions.edit_plan import EditPlan
from deeplake_mmdet.versions.edited_values import edited_values
from deeplake_mmdet.versions.object_columns import ObjectColumns, find_object_columns
from deeplake_mmdet.versions.opening import Place


def edit(
    path: Any,
    *,
    branch: str,
    message: str,
    create_branch: bool = False,
    commit: str | None = None,
    credentials: Any = None,
    tensors: Mapping[str, str] | None = None,
    per_object: Collection[str] = (),
    per_image: Collection[str] = (),
) -> Edit:
    """Edit a dataset in a ``with`` block; everything is written at its end, or nothing.

    ```python
    with edit('data/mine', branch='cleaned', create_branch=True, message='Blurred images out') as dataset:
        dataset.drop_row(61)
        dataset.drop_object(8, 2)
        dataset.relabel(3, 0, 'bus')
    print(dataset.revision, *dataset.done, sep='\\n')
    ```

    Args:
        path: The dataset; ``PATH@branch`` says where a new branch starts.
        branch: The branch to edit. The main one is edited only where it is named: ``branch='main'``.
        message: Why, for the commit.
        create_branch: Make the branch first; it must not exist. Otherwise it must.
        commit: Where a new branch starts, a commit of the branch in `path`; by default its head.
        credentials: What ``deeplake_credentials`` holds in a config.
        tensors: Role to column, as ``deeplake_tensors``, where boxes and labels are not found by themselves.
        per_object, per_image: Columns of one entry an object, and columns that stay as they are, where that cannot be
            told from the data.

    Raises:
        ConfigError: An argument is wrong.
        RevisionNotFoundError: There is no such branch or commit.
        ColumnError: The columns of boxes and labels are not clear.
        SourceError: The dataset is of format 3, or cannot be opened.
    """
    place = Place.of(path, credentials)
    if not message.strip():
        raise ConfigError("edit(message='') expected the reason for the commit. Say why the rows are edited.")
    start = _start(place, branch, create_branch, commit)
    pins = {'deeplake_path': place.uri, 'deeplake_branch': start, 'deeplake_commit_id': commit}
    spec = DatasetSpec.from_config({**pins, 'deeplake_credentials': credentials, 'deeplake_tensors': tensors})
    plan = EditPlan.of(SourceHandle.resolve(spec), spec.tensors)
    return Edit(place, branch, plan, message, create=create_branch, per_object=per_object, per_image=per_image)


def _start(place: Place, branch: str, create: bool, commit: str | None) -> str:
    """The branch that holds the version to be edited."""
    head, ref = place.reader(), place.location.ref
    with place.guarded():
        branches, views = list(head.branches.names()), list(head.tags.names())
    if ref in views:
        raise ConfigError(
            f'edit(path=) names the view {ref!r}, and views do not change. Edit the branch, and save another.'
        )
    if ref is not None and ref not in branches:
        raise ConfigError(f'edit(path=) names {ref!r}. {known("branches", branches)}{closest(ref, branches)}')
    if create:
        if branch in (*branches, *views):
            is_branch = branch in branches
            remedy = 'Leave out --create-branch (create_branch=) to edit it.' if is_branch else 'Choose another name.'
            raise ConfigError(
                f'edit(branch={branch!r}, create_branch=True) expected a new name, but there is a '
                f'{"branch" if is_branch else "view"} of this one. {remedy}'
            )
        return ref or 'main'
    if branch not in branches:
        raise ConfigError(
            f'edit(branch={branch!r}) names no branch. {known("branches", branches)}{closest(branch, branches)} Give '
            '--create-branch (create_branch=True) to make it.'
        )
    if commit is not None or ref not in (None, branch):
        raise ConfigError(
            f'edit(branch={branch!r}) edits the head of that branch, but another version is named beside it. Leave it '
            'out, or make a new branch of it with --create-branch (create_branch=True).'
        )
    return branch


class Edit:
    """One edit in the making; `edit` makes it. Rows and objects are numbered as before the edit, all of them.

    Attributes:
        revision: What was committed; None before the end of the ``with`` block.
        done: What was done, a line each; empty before.
    """

    def __init__(
        self,
        place: Place,
        branch: str,
        plan: EditPlan,
        message: str,
        *,
        create: bool,
        per_object: Collection[str],
        per_image: Collection[str],
    ) -> None:
        self.revision: Revision | None = None
        self.done: list[str] = []
        self._place, self._branch, self._plan, self._message = place, branch, plan, message
        self._create, self._per_object, self._per_image = create, tuple(per_object), tuple(per_image)

    def __enter__(self) -> Edit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()

    def drop_row(self, row: int) -> None:
        """Leave out a row.

        Raises:
            ConfigError: There is no such row, or its objects are edited too.
        """
        self._plan.drop_row(row)

    def drop_object(self, row: int, index: int) -> None:
        """Leave out one object of a row, in all columns of one entry an object.

        Raises:
            ConfigError: There is no such object, or it is edited otherwise too.
        """
        self._plan.drop_object(row, index)

    def relabel(self, row: int, index: int, name: str) -> None:
        """Give one object of a row another class.

        Raises:
            ConfigError: There is no such object or class, or it is dropped too.
            ColumnError: The dataset has no class names.
        """
        self._plan.relabel(row, index, name)

    def _finish(self) -> None:
        plan = self._plan
        if not plan:
            raise ConfigError('edit expected at least one change. Drop a row or an object, or relabel one.')
        columns = ObjectColumns(plan.boxes, plan.labels, {})
        if plan.objects:
            columns = find_object_columns(
                plan.source, plan.boxes, plan.labels, per_object=self._per_object, per_image=self._per_image
            )
        values, done = edited_values(plan, columns), plan.say()
        write_edit(self._place, self._branch, plan, values, self._message, create=self._create)
        spec = DatasetSpec(Location(self._place.uri), self._place.credentials, branch=self._branch)
        edited = SourceHandle.resolve(spec)
        check_edit(edited, plan, values)
        self.revision, self.done = edited.revision, done
