"""The record of a run: on which data, with which config, code and libraries it was made.

It is plain JSON, ``lineage.json`` in the work dir; checkpoints and trackers hold the same. `docs/lineage.md` documents
every field. A field may be added at any time; what changes the meaning of one raises `VERSION`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deeplake_mmdet.config.tensor_roles import TENSOR_ROLES

if TYPE_CHECKING:  # a record is read without PyTorch
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

SCHEMA, VERSION = 'deeplake_mmdet.lineage', 1
KEY = 'deeplake_lineage'  # in checkpoint['meta'], as JSON text
FILE = 'lineage.json'
CONFIG = 'config_values'  # in lineage.json alone, as a Python literal: JSON knows no tuples

_BLOCK = 1 << 20  # bytes
# Keys of a config that differ between two runs of the same experiment.
OF_ONE_RUN = (
    *('work_dir', 'launcher', 'local_rank', 'gpu_ids', 'experiment_name', 'timestamp'),
    *('resume', 'resume_anyway', 'trust_checkpoint'),
)


def dataset_entry(key: str, dataset: DeepLakeDataset) -> dict[str, Any]:
    """What a run read from one dataset.

    Args:
        key: Where the dataset stands in the config, such as ``train_dataloader.dataset``.
        dataset: A dataset that is fully initialized.

    Returns:
        ``uri``, ``dataset_id``, ``branch``, ``commit_id``, ``view_id``, ``query``, ``rows``, ``digest`` and ``format``
        (see `Revision`), and ``columns`` (role to name), ``classes``, ``bbox_format``, ``bbox_min_size`` (pixels),
        ``on_error`` and ``samples`` (their number after filters).
    """
    strings = dataset.metainfo['deeplake']
    box_format = dataset.index.box_format
    return {
        'key': key,
        **{name: strings[name] or None for name in strings},
        'rows': int(strings['rows']),
        'format': int(strings['format']),
        'columns': {role: name for role in TENSOR_ROLES if (name := dataset.columns.get(role))},
        'classes': list(dataset.index.classes),
        'bbox_format': {'mode': box_format.mode, 'type': box_format.type},
        'bbox_min_size': dataset.smallest_box,
        'on_error': dataset.on_error,
        'samples': len(dataset),
    }


def new_record(
    run: Mapping[str, Any],
    datasets: Iterable[tuple[str, str, DeepLakeDataset]],
    config: Any,
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a run that begins.

    Args:
        run: ``id``, ``started``, ``command``, ``seed``, ``world_size``, ``work_dir`` and what else belongs to it alone.
        datasets: Split, config key and dataset.
        config: The resolved MMEngine config.
        environment: See `deeplake_mmdet.lineage.environment.environment`.

    Returns:
        A dict that JSON can hold, without metrics and checkpoints yet.
    """
    data: dict[str, list[dict[str, Any]]] = {'train': [], 'val': [], 'test': []}
    for split, key, dataset in datasets:
        data[split].append(dataset_entry(key, dataset))
    return {
        'schema': SCHEMA,
        'version': VERSION,
        'run': dict(run),
        'data': data,
        'config': {'file': config.filename, 'digest': config_digest(config)},
        **environment,
        'metrics': {},
        'validations': [],
        'checkpoints': [],
    }


def values_without_credentials(config: Any) -> dict[str, Any]:
    """The values of an MMEngine config as plain dicts, lists and tuples; references to credentials are left out."""
    found: dict[str, Any] = _without_credentials(config.to_dict())
    return found


def _without_credentials(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_credentials(child) for key, child in node.items() if key != 'deeplake_credentials'}
    if type(node) in (list, tuple):
        return type(node)(_without_credentials(child) for child in node)
    return node


def config_digest(config: Any) -> str:
    """SHA-256 of a resolved config, without what belongs to one run alone (work dir, launcher, credentials)."""
    same = {key: value for key, value in values_without_credentials(config).items() if key not in OF_ONE_RUN}
    return hashlib.sha256(json.dumps(same, sort_keys=True, default=repr).encode()).hexdigest()


def file_digest(path: str) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def add_validation(record: dict[str, Any], epoch: int, iteration: int, values: Mapping[str, Any]) -> None:
    """Note the metrics of a validation; the last ones are the record's ``metrics``."""
    numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
    record['metrics'] = numbers
    record['validations'].append({'epoch': epoch, 'iteration': iteration, 'values': numbers})


def add_checkpoint(record: dict[str, Any], file: str, digest: str, epoch: int, iteration: int) -> None:
    """Note a checkpoint; one of the same name is replaced by it."""
    others: Sequence[dict[str, Any]] = record['checkpoints']
    entry = {'file': file, 'sha256': digest, 'epoch': epoch, 'iteration': iteration}
    record['checkpoints'] = [*(other for other in others if other['file'] != file), entry]
