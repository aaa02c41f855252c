"""The arguments of MMDetection's own tools, and reading a config with them."""

from __future__ import annotations

import argparse
import os
from typing import Any

from deeplake_mmdet.config.upgrade.bases import read_config
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.engine.join import launcher_around
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.lineage.scrubbed_output import scrub_log


def add_common(parser: argparse.ArgumentParser) -> None:
    """Arguments that training and testing share."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints; default: ./work_dirs/<name of the config>')
    add_config_options(parser)
    add_trust(parser)
    add_launcher(parser)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """``--launcher``, which all verbs have that several processes may run together."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        help='who started the processes of this run (default: pytorch under torchrun, else none)',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """``--trust-checkpoint``, which all verbs that load one have."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint even if it holds what could run code: only where you trust its author',
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options``, which all verbs with a config have."""
    from mmengine.config import DictAction

    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override config keys, as key=value; nested keys as a.b.c=value, lists as key="[1,2]"',
    )


def load_config(args: argparse.Namespace) -> tuple[Any, list[str]]:
    """Read the config file and apply the common arguments.

    Returns:
        The config, and what was found under another name, for the run's log.

    Raises:
        ConfigError: The file or one of its bases does not exist.
    """
    from mmengine.logging import MMLogger

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if not os.path.isfile(args.config):
        raise ConfigError(f'The config file {args.config!r} does not exist.')
    scrub_log(MMLogger.get_current_instance())
    notes = Notes()
    config = read_config(args.config, notes)
    config.launcher = args.launcher or launcher_around()
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    if args.work_dir:
        config.work_dir = args.work_dir
    elif not config.get('work_dir'):
        config.work_dir = os.path.join('work_dirs', os.path.splitext(os.path.basename(args.config))[0])
    return config, notes.lines
