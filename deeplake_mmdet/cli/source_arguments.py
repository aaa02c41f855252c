"""The arguments by which a verb names a dataset: the same words as in a config, and ``PATH@name``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from deeplake_mmdet.config.credentials import read_file
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ConfigError


def add_dataset(parser: argparse.ArgumentParser, *, query: bool = True) -> None:
    """The dataset as the first positional argument, and its pins.

    Args:
        parser: Of the verb.
        query: Whether ``--query`` is offered too.
    """
    parser.add_argument('dataset', metavar='DATASET', help='folder or URL, with @branch or @view behind it if wanted')
    parser.add_argument('--branch', help='branch to read (default: main)')
    parser.add_argument('--commit', metavar='ID', help='commit of that branch to read (default: its head)')
    parser.add_argument('--view', metavar='NAME', help='saved view to read')
    if query:
        parser.add_argument('--query', metavar='TQL', help='rows to read, such as "select * where …"')
    parser.add_argument(
        '--tensors',
        nargs='+',
        action='extend',
        default=[],
        metavar='ROLE=COLUMN',
        help='columns that are not found by themselves, such as gt_labels=labels',
    )
    add_creds(parser)


def add_creds(parser: argparse.ArgumentParser) -> None:
    """``--creds``: credentials never stand on a command line, where every user of the machine can read them."""
    parser.add_argument(
        '--creds',
        metavar='FILE',
        help='a JSON file with what deeplake_credentials holds in a config (default: the environment)',
    )


def dataset_config(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `add_dataset` as the keys of a dataset's config.

    Raises:
        ConfigError: An argument is malformed, or the file of credentials cannot be read.
    """
    tensors = dict(text.partition('=')[::2] for text in options.tensors)
    if not all(tensors.values()):
        raise ConfigError(f'--tensors expected ROLE=COLUMN, but got {options.tensors}. For example: gt_labels=labels.')
    config = {
        'deeplake_path': options.dataset,
        'deeplake_credentials': read_creds(options.creds),
        'deeplake_branch': options.branch,
        'deeplake_commit_id': options.commit,
        'deeplake_view_id': options.view,
        'deeplake_query': getattr(options, 'query', None),
        'deeplake_tensors': tensors,
    }
    return {key: value for key, value in config.items() if value}


def dataset_spec(options: argparse.Namespace) -> DatasetSpec:
    """What the arguments of `add_dataset` name.

    Raises:
        ConfigError: As `dataset_config` and `DatasetSpec.from_config`.
    """
    return DatasetSpec.from_config(dataset_config(options))


def read_creds(path: str | None) -> Mapping[str, Any] | None:
    """What the file of ``--creds`` holds; None without one.

    Raises:
        ConfigError: It cannot be read, or is no JSON object. What it holds is not shown.
    """
    return None if path is None else read_file(path, '--creds')
