"""A training that torchrun starts again (``--max-restarts``) goes on from its last checkpoint by itself.

Nobody is there to add ``--resume`` to the command. But the folder may hold checkpoints of other runs, a machine may
have come back with an empty memory, and the number of restarts differs from machine to machine. So a run notes in its
work dir which agents of torchrun it belongs to, what lay there before it, and which commits it reads. An agent serves
one run: if any of a start's agents is noted, the start is a later life of that run.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deeplake_mmdet.engine.checkpoint_files import checkpoints_in, newest_whole
from deeplake_mmdet.engine.datasets_in_config import find_datasets

_NOTE = 'elastic_run.json'
_COMMIT = 'deeplake_commit_id'
_begun: Counter[str] = Counter()  # trainings of this process, by work dir: each is a run of its own


@dataclass
class ElasticRun:
    """What a run notes for its later lives.

    Attributes:
        agents: The agents of torchrun that it had so far.
        before: Checkpoints of others, as `checkpoints_in` gives them.
        commits: Config key of a dataset to the commit that it reads.
    """

    agents: list[str]
    before: dict[str, list[int]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)


def pin_as_before(config: Any, splits: tuple[str, ...]) -> None:
    """In a later life of a run, write the commits of the first into the config, where it names none.

    Args:
        config: The run's config; changed in place.
        splits: Which dataloaders are looked at; nothing is done unless training is among them.
    """
    run = _earlier_life(config.get('work_dir') or '') if 'train' in splits else None
    for key, node in find_datasets(config, splits):
        if run and not node.get(_COMMIT) and key in run.commits:
            node[_COMMIT] = run.commits[key]


def go_on(config: Any) -> list[str]:
    """In a later life of a run, resume from its newest checkpoint; in the first, note that it has begun.

    Args:
        config: The run's config, its datasets pinned; ``resume`` and ``load_from`` are set in place.

    Returns:
        What was decided, for the log.
    """
    from mmengine.dist import is_main_process
    from mmengine.logging import MMLogger

    work_dir = config.get('work_dir') or ''
    agents = _agents(work_dir)
    if not agents or not work_dir:
        return []
    run = _earlier_life(work_dir)
    _begun[work_dir] += 1
    found = newest_whole(work_dir, MMLogger.get_current_instance(), run.before) if run else None
    if is_main_process():
        _write(work_dir, agents, run or ElasticRun([], checkpoints_in(work_dir), _commits(config)))
    if found is None:
        again = run or os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') != '0'
        return [f'torchrun started this run again, and {work_dir} has no checkpoint of it: it begins.'] if again else []
    config.resume, config.load_from = True, found
    return [f'torchrun started this run again: it goes on from {found}.']


def _agents(work_dir: str) -> list[str]:
    """The agents of torchrun that started the ranks of this life, by the folders that they made, and how many trainings
    in the work dir these ranks began before; empty without any."""
    from mmengine.dist import all_gather_object

    parts = Path(os.environ.get('TORCHELASTIC_ERROR_FILE', '')).parts  # …/<run id>_<random>/attempt_<n>/<rank>/<file>
    mine = f'{socket.gethostname()}:{parts[-4]}' if len(parts) > 3 and 'TORCHELASTIC_RUN_ID' in os.environ else ''
    return sorted({f'{name}#{_begun[work_dir]}' for name in all_gather_object(mine) if name})


def _earlier_life(work_dir: str) -> ElasticRun | None:
    """What the run noted in an earlier life, on all ranks; None in its first."""
    from mmengine.dist import broadcast_object_list, is_main_process

    agents = _agents(work_dir)
    if not agents or not work_dir:
        return None
    told: list[ElasticRun | None] = [None]
    if is_main_process():
        noted = _read(work_dir)
        told = [noted if noted and set(noted.agents) & set(agents) else None]
    broadcast_object_list(told)
    return told[0]


def _read(work_dir: str) -> ElasticRun | None:
    try:
        return ElasticRun(**json.loads(Path(work_dir, _NOTE).read_text()))
    except (OSError, ValueError, TypeError):  # none, or one that was cut short: nothing was written after it
        return None


def _write(work_dir: str, agents: list[str], run: ElasticRun) -> None:
    note = Path(work_dir, _NOTE)
    partial = note.with_suffix('.partial')
    run.agents = sorted({*run.agents, *agents})
    partial.write_text(json.dumps(asdict(run)))
    os.replace(partial, note)


def _commits(config: Any) -> dict[str, str]:
    return {key: node[_COMMIT] for key, node in find_datasets(config, ('train', 'val')) if node.get(_COMMIT)}
