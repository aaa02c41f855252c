"""A dataset of Deep Lake format 3 copied into format 4: one version of it, its columns, and its saved views."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.convert.destination import Destination
from deeplake_mmdet.convert.format3_columns import CopiedColumn, copied_column
from deeplake_mmdet.convert.format3_rows import batches
from deeplake_mmdet.convert.format3_views import copied_views
from deeplake_mmdet.convert.schema import source_metadata
from deeplake_mmdet.convert.writer import DatasetWriter
from deeplake_mmdet.errors import ConversionError
from deeplake_mmdet.lineage.created import tell_dataset
from deeplake_mmdet.source.format3.files import Format3Files
from deeplake_mmdet.source.handle import SourceHandle


@dataclass
class CopyReport:
    """What was copied.

    Args:
        path: Of the new dataset.
        source: What was copied, in words.
        rows: Number of rows.
        columns: The column types, by name.
        views: How many rows each saved view selects, by name.
        remarks: What was not carried over, and what changed.
    """

    path: str
    source: str
    rows: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, int] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def table(self) -> str:
        """The summary as lines of text."""
        lines = [('copied', self.source), ('rows', f'{self.rows}')]
        lines += [(f'column {name!r}', kind) for name, kind in self.columns.items()]
        lines += [(f'view {name!r}', f'{rows} rows') for name, rows in self.views.items()]
        lines += [('note', remark) for remark in self.remarks]
        width = max(len(name) for name, _ in lines)
        return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)


def convert_v3(
    src: str | os.PathLike,
    dst: str | os.PathLike,
    *,
    without: Sequence[str] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CopyReport:
    """Copies one version of a format-3 dataset into a new dataset of format 4.

    Args:
        src: Folder or URL of the dataset, with ``@branch``, ``@commit`` or ``@view`` behind it for another version
            than the head. Storage credentials come from the environment.
        dst: The dataset to make, a local folder or a URL.
        without: Names of tensors to leave out.
        overwrite: Replace a local Deep Lake dataset at ``dst``.
        progress: Called with the rows done and the rows in all.

    Returns:
        What was copied and what was not.

    Raises:
        ConversionError: The source is no dataset of format 3, or ``dst`` may not be written.
        SourceError: The source cannot be opened or read. Nothing is left at ``dst`` then.
    """
    spec = DatasetSpec.from_config({'deeplake_path': os.fspath(src)})
    local = [] if spec.location.is_remote else [spec.location.uri]
    destination = Destination(dst, overwrite=overwrite, sources=local)
    _refuse_remote(destination, spec.location.uri)
    source = SourceHandle.resolve(spec)
    if source.revision.format != 3:
        raise ConversionError(
            f'convert_v3(src=) expected a dataset of Deep Lake format 3, but got {os.fspath(src)!r} of format 4. It '
            'can be read as it is.'
        )
    columns, remarks = _columns(source, without)
    views, view_remarks = copied_views(source, Format3Files(spec.location.uri, Credentials()), columns)
    report = CopyReport(os.fspath(dst), str(source.revision), len(source))
    report.columns = {column.name: str(column.type) for column in columns}
    with DatasetWriter(destination, columns, source_metadata('deeplake 3', spec.location.uri)) as writer:
        for some in batches(source, columns, source.rows):
            for row in some:
                writer.append(row)
            if progress:
                progress(writer.rows, len(source))
        writer.finish(f'Copy of format 3: {source.revision.branch} {source.revision.commit_id}', views)
    report.views = {name: view.rows for name, view in views.items()}
    report.remarks = [*source.remarks, *remarks, *view_remarks, 'commits and branches: only this version is copied']
    tell_dataset('converted', report.path, report.views)
    return report


def _refuse_remote(destination: Destination, source: str) -> None:
    """Refuse to write to a URL above the source, which a failure would delete together with the copy.

    Raises:
        ConversionError: The source is below it.
    """
    if not destination.is_local and f'{source}/'.startswith(f'{destination.path.rstrip("/")}/'):
        raise ConversionError(
            f'convert(dst=) expected a URL of its own, but got {destination.path!r}: it holds the source. Choose '
            'another path.'
        )


def _columns(source: SourceHandle, without: Sequence[str]) -> tuple[list[CopiedColumn], list[str]]:
    """The columns to copy, and remarks on those that are not.

    Raises:
        ConversionError: A name in `without` is no tensor, or nothing is left.
    """
    tensors = source.tensors
    unknown = sorted(set(without) - set(tensors))
    if unknown:
        raise ConversionError(
            f'convert_v3(without=) expected names of tensors, but got {unknown}. The tensors are {sorted(tensors)}.'
        )
    columns, remarks = [], []
    for name, tensor in tensors.items():
        found = 'as asked for' if name in without else copied_column(tensor, source.base())
        if isinstance(found, str):
            remarks.append(f'tensor {name!r} is left out: {found}')
            continue
        columns.append(found)
        if tensor.meta.get('is_link'):
            remarks.append(f'tensor {name!r} had links: the images themselves are stored')
        if tensor.meta.get('htype') == 'binary_mask':
            remarks.append(f'tensor {name!r} had bitmaps: COCO run lengths of the same pixels are stored')
        if tensor.meta.get('htype') == 'polygon' and tensor.meta.get('dtype') not in (None, 'float32'):
            remarks.append(f'tensor {name!r} had polygons of {tensor.meta["dtype"]}, which format 4 rounds to float32')
    if not columns:
        raise ConversionError(f'convert_v3(src=) expected tensors to copy, but got none. {"; ".join(remarks)}.')
    return columns, remarks
