"""``deeplake-mmdet materialize DATASET[@view] DST``: a copy of a dataset or view, with the images behind its links."""

from __future__ import annotations

import argparse

from deeplake_mmdet.cli.convert import reported
from deeplake_mmdet.cli.source_arguments import add_dataset, dataset_config, read_creds


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    about = (
        'Copy a dataset, a commit, a branch, a view or the result of a query, in its order, into a new dataset. Images '
        'behind links are stored as they are; all other columns, and their metadata, stay the same.'
    )
    parser = argparse.ArgumentParser(prog='deeplake-mmdet materialize', description=about)
    add_dataset(parser)
    parser.add_argument('dst', metavar='DST', help='the dataset to make: a local folder or a URL')
    parser.add_argument('--overwrite', action='store_true', help='replace a local Deep Lake dataset at DST')
    parser.add_argument('--restart', action='store_true', help='give up an unfinished copy or import at DST')
    parser.add_argument(
        '--without', nargs='+', action='extend', default=[], metavar='COLUMN', help='columns to leave out'
    )
    parser.add_argument(
        '--on-error',
        choices=['raise', 'skip'],
        default='raise',
        help='what an image that cannot be read does: end the copy, which can go on later (default), or leave its row '
        'out and count it',
    )
    parser.add_argument(
        '--dst-creds',
        metavar='FILE',
        help='as --creds, for DST (default: those of DATASET if both are on the same kind of storage)',
    )
    return parser


def main(argv: list[str]) -> int:
    """Copies with a progress line, prints the summary, and returns the exit code."""
    options = build_parser().parse_args(argv)
    config, credentials = dataset_config(options), read_creds(options.dst_creds)
    from deeplake_mmdet.convert import materialize  # --help need not load Deep Lake

    return reported(
        lambda progress: materialize(
            config,
            options.dst,
            without=options.without,
            on_error=options.on_error,
            overwrite=options.overwrite,
            restart=options.restart,
            credentials=credentials,
            progress=progress,
        )
    )
