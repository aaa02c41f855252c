"""What the machine offers: folders that can be written, shared memory, Deep Lake's disk cache; and what leaves it."""

from __future__ import annotations

import shlex

from deeplake_mmdet.doctor.environment import Environment
from deeplake_mmdet.doctor.finding import NOTE, OK, PROBLEM, WARNING, Finding

GIB = 2**30
_UNSET_FS_CACHE = 'unset DEEPLAKE_FS_CACHE_PATH'


def check_temp(env: Environment) -> list[Finding]:
    """There is a temporary folder, with room."""
    if env.temp is None or not env.temp.writable:
        text = 'no temporary folder can be written (TMPDIR, /tmp, /var/tmp)'
        return [Finding(PROBLEM, 'temporary folder', text, ('mkdir -p ~/tmp && export TMPDIR=~/tmp',))]
    if env.temp.free_bytes < GIB:
        text = f'{env.temp.path} has {_gib(env.temp.free_bytes)} left'
        return [Finding(WARNING, 'temporary folder', text, ('mkdir -p ~/tmp && export TMPDIR=~/tmp',))]
    return [Finding(OK, 'temporary folder', f'{env.temp.path}, {_gib(env.temp.free_bytes)} free')]


def check_model_cache(env: Environment) -> list[Finding]:
    """Downloaded checkpoints can be kept."""
    if env.model_cache is None or env.model_cache.writable:
        return []
    text = f'{env.model_cache.path} cannot be written: pretrained weights cannot be downloaded'
    return [Finding(WARNING, 'model cache', text, ('export TORCH_HOME=/a/folder/that/can/be/written',))]


def check_shared_memory(env: Environment) -> list[Finding]:
    """The workers of a loader can pass batches through ``/dev/shm``."""
    if env.shared_memory is None or (env.shared_memory.writable and env.shared_memory.free_bytes >= GIB):
        return []
    text = f'/dev/shm has {_gib(env.shared_memory.free_bytes)} left: loader workers may die with a bus error'
    fixes = ('docker run --shm-size=8g ...', 'mount -o remount,size=8g /dev/shm', 'train with num_workers=0')
    return [Finding(WARNING, 'shared memory', text, fixes)]


def check_fs_cache(env: Environment) -> list[Finding]:
    """Deep Lake's disk cache, when it is switched on, can be written and has the room it was promised.

    Deep Lake reports neither: each small read then fetches a whole file of 8 MB from the storage.
    """
    if env.fs_cache is None:
        return []
    path, limit = env.fs_cache.path, env.fs_cache_limit_mb
    quoted = shlex.quote(path)
    if not env.fs_cache.writable:
        text = f'DEEPLAKE_FS_CACHE_PATH={path} cannot be written: each small remote read fetches a whole 8 MB file'
        return [Finding(PROBLEM, 'disk cache', text, (f'mkdir -p {quoted} && chmod u+rwx {quoted}', _UNSET_FS_CACHE))]
    if limit is not None and not limit.isdigit():
        text = f'DEEPLAKE_FS_CACHE_SIZE_MB={limit!r} is no number of megabytes'
        return [Finding(PROBLEM, 'disk cache', text, ('export DEEPLAKE_FS_CACHE_SIZE_MB=100000',))]
    if env.fs_cache.free_bytes < max(int(limit or 0) * 10**6, GIB):
        promised = f'{limit} MB' if limit else 'a useful size'
        text = f'{path} has {_gib(env.fs_cache.free_bytes)} left, less than {promised}'
        return [Finding(PROBLEM, 'disk cache', text, (_UNSET_FS_CACHE, 'export DEEPLAKE_FS_CACHE_PATH=/a/larger/disk'))]
    text = f'{path}, {_gib(env.fs_cache.free_bytes)} free; it must be larger than the dataset, or it slows reading down'
    return [Finding(NOTE, 'disk cache', text)]


def note_telemetry(env: Environment) -> list[Finding]:
    """What leaves the machine."""
    text = (
        'importing deeplake reports a session to Sentry at the end of the process, and offers no switch; '
        'deeplake_mmdet adds no telemetry'
    )
    return [] if env.absent('deeplake') else [Finding(NOTE, 'telemetry', text)]


def _gib(size: int) -> str:
    return f'{size / GIB:.1f} GiB'
