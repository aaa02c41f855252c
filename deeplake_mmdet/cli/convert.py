"""``deeplake-mmdet convert``: a Deep Lake dataset from files, with a progress line and a table of what went into it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deeplake_mmdet.cli.progress import ProgressLine, duration
from deeplake_mmdet.cli.source_arguments import add_creds, read_creds

if TYPE_CHECKING:
    from deeplake_mmdet.convert.format3 import CopyReport
    from deeplake_mmdet.convert.report import ConversionReport


def build_parser() -> argparse.ArgumentParser:
    """The options of each format."""
    about = 'Make a Deep Lake dataset from files, or from a dataset of format 3. The same command again goes on after '
    about += 'an import that was killed.'
    parser = argparse.ArgumentParser(prog='deeplake-mmdet convert', description=about)
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    coco = formats.add_parser('coco', help='a COCO instances JSON file and its images')
    coco.add_argument('source', metavar='ANN_JSON', help='the annotation file')
    coco.add_argument(
        '--images', required=True, metavar='DIR', help='the folder or URL that its file names are relative to'
    )
    coco.add_argument(
        '--split',
        metavar='NAME',
        help='the name of the saved view (default: train, val or test when the name of ANN_JSON says so, else all)',
    )
    voc = formats.add_parser('voc', help='a PASCAL VOC tree of XML files and images')
    voc.add_argument('source', metavar='ROOT', help='the folder that holds Annotations, ImageSets and JPEGImages')
    _add_splits(voc, 'each file of ImageSets/Main that lists plain ids')
    voc.add_argument(
        '--classes',
        metavar='A,B,C',
        help='the class names in label order (default: those that occur, in alphabetical order)',
    )
    yolo = formats.add_parser('yolo', help='a YOLO data.yaml, its images and its labels, boxes or polygons')
    yolo.add_argument('source', metavar='DATA_YAML', help='the file that names the classes and the splits')
    _add_splits(yolo, 'those of train, val and test that it names')
    yolo.add_argument('--root', metavar='DIR', help='the folder of the dataset (default: what DATA_YAML says)')
    v3 = formats.add_parser('v3', help='a dataset of Deep Lake format 3, which Deep Lake 3 wrote')
    v3.add_argument(
        'source', metavar='SRC', help='its folder or URL, with @branch, @commit or @view behind it if wanted'
    )
    v3.add_argument('--without', nargs='+', action='extend', default=[], metavar='TENSOR', help='tensors to leave out')
    for format_parser in (coco, voc, yolo, v3):
        format_parser.add_argument('dst', metavar='DST', help='the dataset to make: a local folder or a URL')
        format_parser.add_argument('--overwrite', action='store_true', help='replace a local Deep Lake dataset at DST')
    for format_parser in (coco, voc, yolo):
        _add_import_options(format_parser)
    return parser


def _add_splits(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        '--split',
        nargs='+',
        action='extend',
        metavar='NAME',
        help=f'the splits to convert, a saved view each; one a command makes a dataset each (default: {default})',
    )


def _add_import_options(parser: argparse.ArgumentParser) -> None:
    """What `deeplake_mmdet.convert.options.ImportOptions` holds."""
    group = parser.add_argument_group('import')
    group.add_argument('--append', action='store_true', help='add rows and views to the dataset at DST')
    group.add_argument('--restart', action='store_true', help='give up an unfinished import at DST')
    group.add_argument('--strict', action='store_true', help='make an error of everything odd')
    group.add_argument(
        '--on-error',
        choices=['raise', 'skip'],
        default='raise',
        help='what an image does that is missing, unreadable, or of another size than annotated: end the import '
        '(default), or be left out and listed',
    )
    group.add_argument(
        '--zero-area',
        choices=['keep', 'drop'],
        default='keep',
        help='what becomes of boxes without area, which are listed either way (default: keep)',
    )
    group.add_argument(
        '--sizes',
        choices=['annotated', 'measured'],
        default='annotated',
        help='which size of an image counts: the annotated one, which it must have (default), or its own',
    )
    group.add_argument('--link', action='store_true', help='store where the images are, not the images')
    group.add_argument(
        '--link-creds', metavar='NAME', help='the name of the credentials by which the links are read, kept with them'
    )
    group.add_argument('--workers', type=int, metavar='N', help='threads that read images (default: by the cores)')
    add_creds(parser)


def main(argv: list[str]) -> int:
    """Converts, prints the summary, and returns the exit code."""
    options = build_parser().parse_args(argv)
    return reported(lambda progress: _convert(options, progress))


def reported(make: Callable[[ProgressLine], ConversionReport | CopyReport]) -> int:
    """Makes a dataset with a progress line, prints the summary, and returns the exit code.

    Args:
        make: Makes it, and tells its progress to the line.
    """
    start = time.monotonic()
    progress = ProgressLine()
    try:
        report = make(progress)
    finally:
        progress.end()
    seconds = time.monotonic() - start
    took = f'{seconds:.1f} s' if seconds < 60 else duration(seconds)
    print(f'{report.path}: written in {took}\n\n{report.table()}\n\n{next_step(report)}')
    return 0


def _convert(options: argparse.Namespace, progress: ProgressLine) -> ConversionReport | CopyReport:
    from deeplake_mmdet.convert import convert_coco, convert_v3, convert_voc, convert_yolo  # not for --help

    if options.format == 'v3':
        return convert_v3(
            options.source, options.dst, without=options.without, overwrite=options.overwrite, progress=progress
        )
    common = {**_import_options(options), 'progress': progress}
    if options.format == 'coco':
        return convert_coco(options.source, options.dst, images=options.images, split=options.split, **common)
    if options.format == 'yolo':
        return convert_yolo(options.source, options.dst, splits=options.split, root=options.root, **common)
    classes = options.classes.split(',') if options.classes is not None else None
    return convert_voc(options.source, options.dst, splits=options.split, classes=classes, **common)


def _import_options(options: argparse.Namespace) -> dict[str, Any]:
    names = ('overwrite', 'append', 'restart', 'strict', 'on_error', 'zero_area', 'sizes', 'link', 'link_creds')
    chosen = {name: getattr(options, name) for name in (*names, 'workers')}
    return chosen | {'credentials': read_creds(options.creds)}


def next_step(report: ConversionReport | CopyReport) -> str:
    """A config to train on the dataset."""
    names = list(report.views)
    train = 'train' if 'train' in names else names[0] if names else None
    val = next((name for name in ('val', 'test') if name in names), train)
    lines = ['Next: put this into a config, say my.py, and run deeplake-mmdet train my.py', '']
    lines += ["_base_ = 'configs/_base_/rtmdet_narrow.py'  # or one that you adapt: see the README"]
    for part, view in (('train', train), ('val', val)):
        pin = f', deeplake_view_id={view!r}' if view else ''
        lines += [f'{part}_dataloader = dict(dataset=dict(deeplake_path={report.path!r}{pin}))']
    return '\n'.join([*lines, 'test_dataloader = val_dataloader'])
