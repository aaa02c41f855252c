"""``deeplake-mmdet export``: the rows of a dataset, commit, branch, view or query as files of another format."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from deeplake_mmdet.cli.progress import ProgressLine, duration
from deeplake_mmdet.cli.source_arguments import add_dataset, dataset_config

if TYPE_CHECKING:
    from deeplake_mmdet.convert.export.report import ExportReport

_FORMATS = {
    'coco': 'a COCO JSON file and a folder of images a split',
    'voc': 'a PASCAL VOC tree: XML files, lists of ids, images',
    'yolo': 'a YOLO tree: data.yaml, images and labels',
}


def build_parser() -> argparse.ArgumentParser:
    """The options of each format."""
    about = 'Write a dataset, or the rows of it that a branch, a commit, a view or a query selects, as files.'
    parser = argparse.ArgumentParser(prog='deeplake-mmdet export', description=about)
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    for name, text in _FORMATS.items():
        chosen = formats.add_parser(name, help=text, description=about)
        add_dataset(chosen)
        chosen.add_argument('dst', metavar='DST', help='the folder to make')
        chosen.add_argument('--name', help='what the rows are called in the tree (default: the view, else the branch)')
        chosen.add_argument(
            '--splits', nargs='+', action='extend', metavar='VIEW', help='saved views to write, a split each'
        )
        chosen.add_argument('--classes', metavar='A,B,C', help='the classes to write, in label order (default: all)')
        chosen.add_argument('--no-images', action='store_true', help='write the annotations alone')
        chosen.add_argument('--overwrite', action='store_true', help='replace an earlier export at DST')
        if name == 'coco':
            chosen.add_argument(
                '--layout',
                choices=['coco', 'fiftyone'],
                default='coco',
                help='annotations/instances_NAME.json and NAME/, or labels.json and data/ as FiftyOne imports them '
                '(default: coco)',
            )
        if name == 'yolo':
            chosen.add_argument('--polygons', action='store_true', help='write masks as polygons (default: boxes)')
    return parser


def main(argv: list[str]) -> int:
    """Exports, prints the summary, and returns the exit code."""
    options = build_parser().parse_args(argv)
    start = time.monotonic()
    progress = ProgressLine()
    try:
        report = _export(options, progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f'Nothing is left at {options.dst}.') from None
    finally:
        progress.end()
    seconds = time.monotonic() - start
    took = f'{seconds:.1f} s' if seconds < 60 else duration(seconds)
    print(f'{report.path}: written in {took}\n\n{report.table()}')
    print(f'\nTo read it: {report.hint}')
    return 0


def _export(options: argparse.Namespace, progress: ProgressLine) -> ExportReport:
    from deeplake_mmdet.convert import export_coco, export_voc, export_yolo  # --help need not load Deep Lake

    common = {
        'splits': options.splits,
        'name': options.name,
        'classes': options.classes.split(',') if options.classes is not None else None,
        'images': not options.no_images,
        'overwrite': options.overwrite,
        'progress': progress,
    }
    config = dataset_config(options)
    if options.format == 'coco':
        return export_coco(config, options.dst, layout=options.layout, **common)
    if options.format == 'voc':
        return export_voc(config, options.dst, **common)
    return export_yolo(config, options.dst, polygons=options.polygons, **common)
