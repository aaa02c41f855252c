"""Asked to stop, a training keeps what it has done: it writes a checkpoint and exits with a code of its own.

Clusters send SIGTERM or SIGUSR1 before they take a machine back, to all processes or to one. ``--resume`` goes on at
the next sample.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from mmengine.hooks import EMAHook, Hook

from deeplake_mmdet.engine.checkpoint_files import note_latest

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later
_SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name))


class Preempted(SystemExit):
    """Ends the process with `EXIT_CODE`."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class ObedientWorker:
    """A loader's ``worker_init_fn``, after which its workers stop only when the training tells them to.

    A cluster's signal often goes to all processes of a job, and the training needs its workers until it has stopped.

    Args:
        before: The loader's own ``worker_init_fn``, or None.
    """

    def __init__(self, before: Callable[[int], Any] | None) -> None:
        self._before = before

    def __call__(self, worker: int) -> None:
        if hasattr(signal, 'sigwaitinfo'):  # only there a signal says who sent it
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_obey, args=(os.getppid(),), daemon=True).start()
        if self._before is not None:
            self._before(worker)


def _obey(parent: int) -> None:
    """End this process when its parent sends SIGTERM; what others send is passed over."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
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

    def before_run(self, runner: Any) -> None:
        """Listen, where this is the main thread: only it can."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            # One small number an iteration over the network of the CPUs: GPUs are not made to wait.
            self._group = dist.new_group(backend='gloo')
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

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop here if any rank was asked to.

        Raises:
            Preempted: One was.
        """
        if self._asked():
            self._stop(runner, runner.iter + 1, by_epoch=False)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """The same in validation, which only happens after an iteration was counted.

        Raises:
            Preempted: One was asked to.
        """
        if not self._asked():
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # it has put the averaged weights into the model's place
                hook.after_val_epoch(runner)
        self._stop(runner, runner.iter, by_epoch=True)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _asked(self) -> bool:
        """Whether any rank was asked to stop."""
        if self._group is None:
            return bool(self._signal)
        flag = torch.tensor([self._signal])
        dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._group)
        self._signal = int(flag)
        return bool(self._signal)

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
