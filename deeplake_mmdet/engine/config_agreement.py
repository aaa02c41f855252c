"""The ranks of a run were started with one config.

Nothing else would notice another learning rate or another pipeline on one of them: gradients are averaged whatever they
came from. So the ranks compare what decides the result. Where something lies may differ between machines, and how many
workers read it; what is read is compared by `RanksAgree`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from deeplake_mmdet.errors import ConfigError

# What MMEngine's runners read and what can change a result; variables of a config file's own are none of it.
_COMPARED = (
    *('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg'),
    *('optim_wrapper', 'auto_scale_lr', 'param_scheduler', 'val_evaluator', 'test_evaluator', 'default_hooks'),
    *('custom_hooks', 'data_preprocessor', 'randomness', 'resume', 'model_wrapper_cfg', 'find_unused_parameters'),
    *('sync_bn', 'runner_type', 'strategy', 'compile', 'default_scope'),
)
# Addresses, secrets, and what is a matter of the machine.
_LOCAL = (
    *('deeplake_path', 'deeplake_credentials', 'data_root', 'data_prefix', 'ann_file', 'backend_args', 'proposal_file'),
    *('file_client_args', 'checkpoint', 'out_dir', 'save_dir', 'outfile_prefix', 'init_kwargs', 'tracking_uri'),
    *('num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory', 'timeout', 'multiprocessing_context'),
)
_SHOWN = 80  # characters of a value


def check_same_config(config: Mapping[str, Any]) -> None:
    """Compare this rank's config with those of the others, and raise on all of them alike.

    Args:
        config: The run's config, in the form of MMDetection 3.

    Raises:
        ConfigError: They differ; the first key that does is named, with its values on two ranks.
    """
    from mmengine.dist import all_gather_object, get_world_size

    if get_world_size() < 2:
        return
    own = {key: value for name in _COMPARED for key, value in _values(name, config.get(name))}
    digests = all_gather_object(hashlib.sha256(repr(sorted(own.items())).encode()).hexdigest())
    if len(set(digests)) == 1:
        return
    ranks = all_gather_object(own)
    rank = next(rank for rank, digest in enumerate(digests) if digest != digests[0])
    keys = sorted(key for key in {**ranks[0], **ranks[rank]} if ranks[0].get(key) != ranks[rank].get(key))
    here, there = (_shown(ranks[number].get(keys[0])) for number in (0, rank))
    more = f' {len(keys) - 1} more keys differ: {", ".join(keys[1:6])}.' if len(keys) > 1 else ''
    raise ConfigError(
        f'{keys[0]} expected the same value on all {len(ranks)} ranks, but got {here} on rank 0 and {there} on rank '
        f'{rank}.{more} Start every rank with the same config and the same arguments.'
    )


def _values(key: str, node: Any) -> Iterator[tuple[str, str]]:
    """Every value below a node with its dotted key, as text."""
    if isinstance(node, Mapping):
        for name, child in node.items():
            if name not in _LOCAL:
                yield from _values(f'{key}.{name}', child)
    elif isinstance(node, (list, tuple)) and any(isinstance(child, (Mapping, list, tuple)) for child in node):
        for number, child in enumerate(node):
            yield from _values(f'{key}.{number}', child)
    elif node is None or isinstance(node, (str, int, float, list, tuple)):
        yield key, repr(list(node)) if isinstance(node, tuple) else repr(node)
    else:
        named = node if isinstance(node, type) or callable(node) else type(node)
        yield key, f'{getattr(named, "__module__", "")}.{getattr(named, "__qualname__", type(named).__name__)}'


def _shown(value: str | None) -> str:
    if value is None:
        return 'nothing'
    return value if len(value) <= _SHOWN else f'{value[:_SHOWN]}…'
