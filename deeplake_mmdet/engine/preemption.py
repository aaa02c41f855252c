"""Asked to stop, a training keeps what it has done: it writes a checkpoint and exits with a code of its own.

Clusters send SIGTERM or SIGUSR1 before they take a machine back, to all processes or to one. ``--resume`` goes on at
the next sample.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import RawArray
from multiprocessing.util import Finalize
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import barrier
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from deeplake_mmdet.engine.checkpoint_files import note_latest
from deeplake_mmdet.engine.process_group import timeout_of
from deeplake_mmdet.metrics.patient_group import patient_group

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later
_SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name))
_GRACE_S = 1.0  # for a worker whose dataloader is done
_LOOK_S = 0.2  # between two looks of a worker at its parent


class Preempted(SystemExit):
    """Ends the process with `EXIT_CODE`."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class ObedientWorker:
    """A loader's ``worker_init_fn``, after which its workers stop only when the training tells them to.

    A cluster's signal often goes to all processes of a job, and the training needs its workers until it has stopped.
    Blocking the signal would not do, because Deep Lake's threads are there before, and take it. So workers ignore it,
    and look at a flag that their parent sets when it ends.

    Args:
        before: The loader's own ``worker_init_fn``, or None.
    """

    def __init__(self, before: Callable[[int], Any] | None) -> None:
        self._before = before
        self._ending = _ending(os.getpid())

    def __call__(self, worker: int) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        # PyTorch's worker loop, which calls this, knows that its dataloader is done before anybody terminates it.
        done = sys._getframe(1).f_locals.get('done_event')
        threading.Thread(target=_obey, args=(self._ending, done), daemon=True).start()
        if self._before is not None:
            self._before(worker)


@functools.cache
def _ending(process: int) -> Any:
    """A flag in memory that the workers of a process share, set when it ends, before it waits for them."""
    flag = RawArray('B', 1)
    Finalize(None, _raise, args=(flag,), exitpriority=100)
    return flag


def _raise(flag: Any) -> None:
    flag[0] = 1


def _obey(ending: Any, done: Any) -> None:
    """End this process, a worker, with its parent, and with its dataloader if it does not by itself.

    A dataloader that the garbage collector finds has lost its queues, and can only terminate its workers.
    """
    parent = multiprocessing.parent_process()
    while not ending[0] and (parent is None or parent.is_alive()):
        if done is not None and done.is_set():
            time.sleep(_GRACE_S)
            break
        time.sleep(_LOOK_S)
    os._exit(0)


class Preemption(Hook):
    """Turns a signal on any rank into a checkpoint of all, after the iteration that is being done.

    During validation there is nothing to wait for: the checkpoint is that of the training before it, and the resumed
    run validates again.
    """

    def __init__(self) -> None:
        self._signal = 0
        self._before: dict[int, Any] = {}
        self._group: Any = None
        self._batches = 0  # of a validation, that all ranks have

    def before_run(self, runner: Any) -> None:
        """Listen, where this is the main thread: only it can."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            # One small number an iteration over the network of the CPUs: GPUs are not made to wait.
            self._group = dist.new_group(backend='gloo', timeout=timeout_of(runner.cfg))
        for number in _SIGNALS:
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:
                return

    def after_run(self, runner: Any) -> None:
        """Hear no more."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def before_test(self, runner: Any) -> None:
        """A test has nothing to keep: a signal ends it as ever."""
        self.after_run(runner)

    def before_val_epoch(self, runner: Any) -> None:
        """Ranks may have unequally many batches, and can only ask each other as long as all have one."""
        self._batches = self._of_all(len(runner.val_dataloader), dist.ReduceOp.MIN)

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Wait for the first rank, which may write a report; the next iteration would not wait as long."""
        barrier(patient_group())

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop here, or after the next step of the optimizer, if any rank was asked to.

        Raises:
            Preempted: One was.
        """
        if self._asked() and _is_step(runner):
            self._stop(runner, runner.iter + 1, by_epoch=False)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """The same in validation, which only happens after an iteration was counted.

        Raises:
            Preempted: One was asked to.
        """
        if batch_idx >= self._batches or not self._asked() or not _is_step(runner):
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # it has put the averaged weights into the model's place
                hook.after_val_epoch(runner)
        self._stop(runner, runner.iter, by_epoch=True)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _asked(self) -> bool:
        """Whether any rank was asked to stop."""
        heard = self._of_all(self._signal, dist.ReduceOp.MAX)
        if heard:  # else one that came meanwhile stays for the next time
            self._signal = heard
        return bool(heard)

    def _of_all(self, number: int, operation: Any) -> int:
        """The greatest, or the least, of the numbers of all ranks."""
        if self._group is None:
            return number
        shared = torch.tensor([number])
        dist.all_reduce(shared, op=operation, group=self._group)
        return int(shared)

    def _stop(self, runner: Any, iterations: int, *, by_epoch: bool) -> None:
        name = f'iter_{iterations}.pth'
        meta = {'epoch': runner.epoch, 'iter': iterations}
        runner.save_checkpoint(runner.work_dir, name, meta=meta, by_epoch=by_epoch)
        if runner.rank == 0:
            note_latest(runner.work_dir, os.path.join(runner.work_dir, name))
        if self._group is not None:
            dist.barrier(group=self._group)
        runner.logger.warning(
            f'Stopped by {signal.Signals(self._signal).name} after iteration {iterations}: wrote {name}. The same '
            'command with --resume goes on from there.'
        )
        raise Preempted


def _is_step(runner: Any) -> bool:
    """Whether the last iteration ended with a step of the optimizer; no checkpoint has gradients that wait for one."""
    wrapper = runner.optim_wrapper
    return not isinstance(wrapper, OptimWrapper) or isinstance(wrapper, OptimWrapperDict) or wrapper.should_update()
