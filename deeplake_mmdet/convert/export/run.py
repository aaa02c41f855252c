"""Any dataset that trains, as files of another format: what is the same whichever format that is.

A format is one class that is given rows: it says which columns it wants, and writes what it can say of a row into the
tree. What it cannot say, it notes in the report, so that nothing is lost in silence.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.tensor_roles import REQUIRED_ROLES
from deeplake_mmdet.convert.export.further_columns import FILE_NAME, SPLIT, format_of, holds_numbers
from deeplake_mmdet.convert.export.report import ExportReport
from deeplake_mmdet.convert.export.rows import ExportRow, export_rows
from deeplake_mmdet.convert.export.tree import ExportTree
from deeplake_mmdet.datasets.annotated import AnnotatedDataset
from deeplake_mmdet.errors import ConversionError

Progress = Callable[[int, int], None]
Source = str | os.PathLike | Mapping[str, Any]
# What every format of detection has a word for.
DETECTION_ROLES = (*REQUIRED_ROLES, 'gt_iscrowd', 'gt_difficult', 'gt_ignore', 'height', 'width')


class ExportFormat(ABC):
    """Writes the rows of some splits into a tree.

    Args:
        tree: Where to.
        report: Where to note what the format does not say.

    Attributes:
        roles: The roles whose columns are written.
        texts: Further columns that are, JSON texts: the ``format`` that their metadata must say, by name.
        numbers: Further columns that are, of one number an object.
        reserved: Names that no split can have.
        masks: Whether masks are wanted.
    """

    roles: Sequence[str] = DETECTION_ROLES
    texts: ClassVar[Mapping[str, str]] = {}
    numbers: ClassVar[Sequence[str]] = ()
    reserved: ClassVar[Sequence[str]] = ()
    masks: bool = False

    def __init__(self, tree: ExportTree, report: ExportReport) -> None:
        self.tree = tree
        self.report = report

    def begin(self, split: str, dataset: AnnotatedDataset) -> None:
        """Called before the rows of a split."""
        self._claimed: set[str] = set()

    def claim(self, name: str, row: ExportRow) -> None:
        """Refuse a second image of the split that is called so.

        Raises:
            ConversionError: There is one.
        """
        if name in self._claimed:
            raise ConversionError(
                f'export: {row.where} expected a name of its own, but got {row.file_name!r}: another image of the '
                f'split is {name!r}, its suffix aside. Rename one of them, or leave the row out by a query.'
            )
        self._claimed.add(name)

    @abstractmethod
    def write(self, row: ExportRow) -> None:
        """Called with each row."""

    def end(self) -> None:  # noqa: B027 most formats have nothing to do here
        """Called after the rows of a split."""

    def finish(self, datasets: Mapping[str, AnnotatedDataset]) -> None:  # noqa: B027
        """Called after the last split, with all of them."""


def run_export(
    dataset: Source,
    dst: str | os.PathLike,
    make: Callable[[ExportTree, ExportReport], ExportFormat],
    *,
    splits: Sequence[str] | None = None,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    images: bool = True,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> ExportReport:
    """Exports one selection of rows, or several saved views as one split each.

    Args:
        dataset: The path of a dataset, or the ``deeplake_*`` keys of one: path, branch, commit, view, query, columns,
            credentials.
        dst: The folder to make.
        make: The format.
        splits: Names of saved views to export, in place of one selection.
        name: What the selection is called in the tree; by default the name of its view, else of its branch.
        classes: Names of the classes to export, in label order; by default all.
        images: Whether the images are written too.
        overwrite: Replace an earlier export at ``dst``.
        progress: Called with the images done and the images in all, at first with none done.

    Returns:
        What was written, and what the format could not say.

    Raises:
        ConversionError: ``dst`` may not be written, or a row cannot be said in the format; nothing is left at ``dst``.
        ConfigError, SourceError, ColumnError, AnnotationError, ImageReadError: The dataset cannot be read.
    """
    config = dict(dataset) if isinstance(dataset, Mapping) else {'deeplake_path': os.fspath(dataset)}
    report = ExportReport(os.fspath(dst))
    with ExportTree(dst, overwrite=overwrite, dataset=DatasetSpec.from_config(config).location.uri) as tree:
        opened = _opened(config, splits, name, classes)
        total, done = sum(map(len, opened.values())), 0
        progress(0, total)
        writer = make(tree, report)
        for split, rows in opened.items():
            _check_name(split, writer.reserved)
            _announce(report, split, rows, writer)
            writer.begin(split, rows)
            for row in _counted(rows, split, writer, report, images):
                writer.write(row)
                done += 1
                progress(done, total)
            writer.end()
        writer.finish(opened)
        tree.finish()
    return report


def _opened(
    config: Mapping[str, Any], splits: Sequence[str] | None, name: str | None, classes: Sequence[str] | None
) -> dict[str, AnnotatedDataset]:
    """The selected rows of each split, by its name."""
    if splits is None:
        rows = AnnotatedDataset(config, classes, believe_declared=True)
        return {name or rows.source.revision.view_id or rows.source.revision.branch: rows}
    if name is not None or config.get('deeplake_view_id') or not splits or len(set(splits)) != len(splits):
        raise ConversionError(
            f'export(splits=) expected names of different saved views, without a view or a name beside them, but got '
            f'{list(splits)}, {config.get("deeplake_view_id")!r} and {name!r}. Each view is a split of its own name.'
        )
    configs = {view: {**config, 'deeplake_view_id': view} for view in splits}
    return {view: AnnotatedDataset(chosen, classes, believe_declared=True) for view, chosen in configs.items()}


def _check_name(split: str, reserved: Sequence[str]) -> None:
    if not re.fullmatch(r'\w[\w.+-]*', split) or split in reserved:
        raise ConversionError(
            f'export(name=) expected a name of letters, digits, "_", ".", "+" and "-" for the files of the split, but '
            f'got {split!r}. Name it with --name (name=).'
        )


def _announce(report: ExportReport, split: str, dataset: AnnotatedDataset, writer: ExportFormat) -> None:
    report.sources[split] = str(dataset.source.revision)
    written = {dataset.columns.get(role) for role in writer.roles} | {FILE_NAME, SPLIT}
    written |= {name for name, form in writer.texts.items() if format_of(dataset, name) == form}
    written |= {name for name in writer.numbers if holds_numbers(dataset, name)}
    left_out = [name for name in dataset.column_names() if name not in written]
    for remark in dataset.remarks:
        report.remark(remark)
    if left_out:
        report.remark(f'columns that are not written: {", ".join(left_out)}')
    report.left_out += int((dataset.index.labels < 0).sum())
    report.objects.update(dict.fromkeys(dataset.index.classes, 0))


def _counted(
    dataset: AnnotatedDataset, split: str, writer: ExportFormat, report: ExportReport, images: bool
) -> Iterator[ExportRow]:
    report.images[split] = 0
    for row in export_rows(dataset, split, texts=writer.texts, masks=writer.masks, images=images):
        yield row
        report.images[split] += 1
