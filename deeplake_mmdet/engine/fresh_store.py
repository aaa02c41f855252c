"""Where the processes of a run meet after torchrun started them anew.

torchrun keeps one store of keys for all lives of a run. The addresses that the processes of an earlier life left in it
would be taken for those of the present one, and the processes wait for peers that are gone. So every life writes under
a prefix of its own. The first process chooses it, and another takes it only once the first has answered it by name:
what an earlier life said cannot name it.
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from typing import Any

_KEYS = 'deeplake_mmdet'
_PAUSE = 0.02  # seconds between two looks at the store


def is_kept_between_lives() -> bool:
    """Whether torchrun lends this process a store that outlives it."""
    return os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'


def fresh_store(timeout: timedelta) -> Any:
    """torchrun's store, seen through the prefix of this life.

    Args:
        timeout: How long to wait for the store and for the other processes.

    Returns:
        A `torch.distributed.Store` for `torch.distributed.init_process_group`.

    Raises:
        torch.distributed.DistNetworkError, torch.distributed.DistStoreError: Nobody came in time.
    """
    import torch.distributed as dist

    rank, ranks = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    place = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    store = dist.TCPStore(*place, is_master=False, timeout=timeout)
    life = _begin(store, ranks) if rank == 0 else _enter(store, rank, time.monotonic() + timeout.total_seconds())
    return dist.PrefixStore(f'{_KEYS}/{life}', store)


def _begin(store: Any, ranks: int) -> str:
    """Choose the prefix, and answer everybody who has seen it."""
    life = uuid.uuid4().hex
    store.set(f'{_KEYS}/life', life)
    names = [store.get(f'{_KEYS}/{life}/{rank}').decode() for rank in range(1, ranks)]
    store.set(f'{_KEYS}/{life}/met', ' '.join(names))
    return life


def _enter(store: Any, rank: int, end: float) -> str:
    """Wait until the first process has answered this one."""
    from torch.distributed import DistStoreError

    name, seen = uuid.uuid4().hex, ''
    while time.monotonic() < end:
        life = store.get(f'{_KEYS}/life').decode()
        if life != seen:
            store.set(f'{_KEYS}/{life}/{rank}', name)
            seen = life
        met = f'{_KEYS}/{life}/met'
        if store.check([met]) and name in store.get(met).decode().split():
            return life
        time.sleep(_PAUSE)
    raise DistStoreError(f'rank 0 did not answer rank {rank}')
