"""From a checkpoint back to the training that made it: the same data revision, seed and order."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from deeplake_mmdet.engine.datasets_in_config import SPLITS, find_datasets
from deeplake_mmdet.engine.secrets_in_config import CREDENTIALS_KEY
from deeplake_mmdet.errors import LineageError
from deeplake_mmdet.lineage.config_text import values_of
from deeplake_mmdet.lineage.data_status import UNCHANGED, is_told, weights_status
from deeplake_mmdet.lineage.reading import Run
from deeplake_mmdet.lineage.record import OF_ONE_RUN


def config_of(run: Run, work_dir: str) -> Any:
    """The config that trains again what a run trained.

    Args:
        run: A training, see `read_run`.
        work_dir: Where the new one writes.

    Returns:
        An MMEngine config, resolved and pinned, with the run's seed, and without credentials.

    Raises:
        LineageError: The run cannot be told in words: it trained no data of Deep Lake, an object of a program, or a
            model that its caller had built; or its file does not hold the config.
    """
    from mmengine.config import Config

    record = run.record
    if run.config_text is None:
        raise LineageError(f'{run.path!r} expected the config of its run, but holds none. Name a checkpoint of it.')
    if not record['data']['train']:
        raise LineageError(f'{run.path!r} expected a training on Deep Lake data, but got a run without.')
    if record['run'].get('given_model'):
        raise LineageError(
            f'{run.path!r} is of a model that its caller built and handed over, so no config tells its layers and '
            'first weights. Run that script again.'
        )
    if (record['run']['continues'] or {'run': ''})['run'] is None:
        raise LineageError(
            f'{run.path!r} was resumed from a checkpoint without a record, so nothing tells how its training began.'
        )
    for entry in (*record['data']['train'], *record['data']['val']):
        if not is_told(entry):
            raise LineageError(f'{run.path!r} was trained on an object that its program had open: {entry["key"]}.')
    config = Config(values_of(run.config_text, repr(run.path)))
    _forget_credentials(config)
    for key in OF_ONE_RUN:
        config.pop(key, None)
    _name_everywhere(config, record)
    config.work_dir = work_dir
    config.load_from = record['run'].get('load_from')  # the config's own is the checkpoint, where the run was resumed
    config.randomness = {**(config.get('randomness') or {}), 'seed': record['run']['seed']}
    return config


def check_weights(run: Run) -> None:
    """Refuse a run whose file of ``load_from`` is not there any more, or is another file by now.

    Args:
        run: A training, see `read_run`. Weights of an address, and of runs that noted no digest, are not looked at.

    Raises:
        LineageError: Names the file, and both digests.
    """
    status = weights_status(run.record)
    if status is not None and status.state != UNCHANGED:
        began = run.record['run']
        raise LineageError(
            f'{run.path!r} expected the weights that its training began with, load_from={began["load_from"]!r} of '
            f'sha256 {began["load_from_sha256"]}, but they are {status}. Put that file back; or write the config with '
            '--config-only, name there where the weights are now, and train with it.'
        )


def _name_everywhere(config: Any, record: Mapping[str, Any]) -> None:
    """Replace relative paths of datasets, which mean something in the folder of the run only."""
    uris = {entry['key']: entry['uri'] for entries in record['data'].values() for entry in entries}
    nodes = [(key, node) for key, node in find_datasets(config, SPLITS) if node.get('deeplake_path')]
    whole = {node['deeplake_path']: uris[key] + _ref(node['deeplake_path']) for key, node in nodes if key in uris}
    for _, node in nodes:
        node['deeplake_path'] = whole.get(node['deeplake_path'], node['deeplake_path'])


def _ref(path: str) -> str:
    """The branch or view that a path names, ``@name``; empty if it names none."""
    _, at, name = path.rpartition('@')
    return at + name if at and '/' not in name else ''


def _forget_credentials(node: Any) -> None:
    """Leave out the references to credentials, which only the process that made them could follow."""
    if isinstance(node, MutableMapping):
        node.pop(CREDENTIALS_KEY, None)
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            _forget_credentials(child)


def give_credentials(config: Any, credentials: Any) -> None:
    """Put credentials into every Deep Lake dataset of a config.

    Args:
        config: The config; changed in place.
        credentials: As ``deeplake_credentials``; None where the environment provides them.
    """
    if credentials:
        for _, node in find_datasets(config, SPLITS):
            node[CREDENTIALS_KEY] = dict(credentials)
