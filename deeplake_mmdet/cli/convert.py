"""``deeplake-mmdet convert``: a new Deep Lake dataset, with a progress line and a table of what went into it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplake_mmdet.convert.format3 import CopyReport
    from deeplake_mmdet.convert.report import ConversionReport


def build_parser() -> argparse.ArgumentParser:
    """The options of each format."""
    about = 'Make a Deep Lake dataset from files, or from a dataset of format 3.'
    parser = argparse.ArgumentParser(prog='deeplake-mmdet convert', description=about)
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    coco = formats.add_parser('coco', help='a COCO instances JSON file and its images')
    coco.add_argument('source', metavar='ANN_JSON', help='the annotation file')
    coco.add_argument('--images', required=True, metavar='DIR', help='the folder that its file names are relative to')
    coco.add_argument(
        '--split',
        metavar='NAME',
        help='the name of the saved view (default: train, val or test when the name of ANN_JSON says so, else all)',
    )
    voc = formats.add_parser('voc', help='a PASCAL VOC tree of XML files and images')
    voc.add_argument('source', metavar='ROOT', help='the folder that holds Annotations, ImageSets and JPEGImages')
    voc.add_argument(
        '--split',
        nargs='+',
        metavar='NAME',
        help='the splits to convert (default: each file of ImageSets/Main that lists plain ids)',
    )
    voc.add_argument(
        '--classes',
        metavar='A,B,C',
        help='the class names in label order (default: those that occur, in alphabetical order)',
    )
    v3 = formats.add_parser('v3', help='a dataset of Deep Lake format 3, which Deep Lake 3 wrote')
    v3.add_argument(
        'source', metavar='SRC', help='its folder or URL, with @branch, @commit or @view behind it if wanted'
    )
    v3.add_argument('--without', nargs='+', default=[], metavar='TENSOR', help='tensors to leave out')
    for format_parser in (coco, voc, v3):
        format_parser.add_argument('dst', metavar='DST', help='the dataset to make: a local folder or a URL')
        format_parser.add_argument('--overwrite', action='store_true', help='replace a local Deep Lake dataset at DST')
    return parser


def main(argv: list[str]) -> int:
    """Converts, prints the summary, and returns the exit code."""
    options = build_parser().parse_args(argv)
    start = time.monotonic()
    progress = ProgressLine()
    try:
        report = _convert(options, progress)
    finally:
        progress.end()
    print(f'{report.path}: written in {time.monotonic() - start:.1f} s\n\n{report.table()}\n\n{next_step(report)}')
    return 0


def _convert(options: argparse.Namespace, progress: ProgressLine) -> ConversionReport | CopyReport:
    from deeplake_mmdet.convert import convert_coco, convert_v3, convert_voc  # --help need not load Deep Lake

    common = {'overwrite': options.overwrite, 'progress': progress}
    if options.format == 'coco':
        return convert_coco(options.source, options.dst, images=options.images, split=options.split, **common)
    if options.format == 'v3':
        return convert_v3(options.source, options.dst, without=options.without, **common)
    classes = options.classes.split(',') if options.classes is not None else None
    return convert_voc(options.source, options.dst, splits=options.split, classes=classes, **common)


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


class ProgressLine:
    """A line that is rewritten while rows are stored: at most ten times a second, and only on a terminal."""

    def __init__(self) -> None:
        self._shown_at = 0.0
        self._live = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._live and (done == total or now - self._shown_at > 0.1):
            self._shown_at = now
            print(f'\r{done}/{total} images', end='', file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leaves the line, when there is one."""
        if self._shown_at:
            print(file=sys.stderr)
