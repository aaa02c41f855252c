"""A backend of MMEngine's visualizer whose calls a thread makes, so that no tracker stops or slows a run."""

from __future__ import annotations

import atexit
import functools
import os
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mmengine.visualization import BaseVisBackend

from deeplake_mmdet.errors import TrackerError
from deeplake_mmdet.lineage.trackers.copied import config_copy, copied
from deeplake_mmdet.lineage.trackers.courier import Courier, Letter
from deeplake_mmdet.lineage.trackers.troubles import START, Troubles, reason_of

PATIENCE = 60.0  # seconds that a run waits for a tracker at its end, or where it needs an answer
_AT_EXIT = 15.0  # seconds for a run that ended without closing its trackers
_END = 'the end of the run'
_NO_CHANGES: Mapping[str, Callable[..., Any]] = MappingProxyType({})


class GuardedBackend(BaseVisBackend):
    """Stands for another backend, and hands its calls to one thread.

    A call that fails is a warning; calls that a slow or dead tracker does not take in time are left out and counted.
    In processes that were forked from the one that made it, it does nothing. What it does not know, it has from the
    backend that it stands for.

    Args:
        backend: The backend.
        name: How messages name it; defaults to the name of its class.
        strict: Whether a failure raises a `TrackerError`, at the next call or at the end, instead of a warning.
        patience: How many seconds `close` and `experiment` wait at most.
        changes: Functions of the backend, and then of the arguments, that stand in for its methods of these names;
            ``'abandon'`` is called at the interpreter's end where nobody closed it.
        in_thread: Whether what `experiment` gives works in this thread only.
    """

    def __init__(
        self,
        backend: BaseVisBackend,
        name: str | None = None,
        *,
        strict: bool = False,
        patience: float = PATIENCE,
        changes: Mapping[str, Callable[..., Any]] = _NO_CHANGES,
        in_thread: bool = False,
    ) -> None:
        super().__init__(getattr(backend, '_save_dir', None))
        self._backend, self._changes, self._in_thread = backend, changes, in_thread
        self.tracker = name or type(backend).__name__
        self.sink: Any = None
        self._patience, self._process = patience, os.getpid()
        self._troubles = Troubles(self.tracker, strict)
        self._courier = Courier(f'tracker {self.tracker}', self._deliver)
        self._opened = self._closed = False
        self._at_exit = functools.partial(_abandon, weakref.ref(self))
        atexit.register(self._at_exit)

    def __getattr__(self, name: str) -> Any:
        backend = self.__dict__.get('_backend')  # missing while a copy is made
        if backend is None:
            raise AttributeError(name)
        return getattr(backend, name)

    @property
    def wrapped(self) -> BaseVisBackend:
        """The backend that it stands for."""
        return self._backend

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def experiment(self) -> Any:
        """As of the backend; of trackers that are bound to their thread, an object whose methods are called there.

        Raises:
            TrackerError: The tracker does not answer in time, or cannot begin the run.
        """
        found = self.ask('the experiment', lambda: self._backend.experiment)
        return _InThread(self, found) if self._in_thread and not self._courier.is_own_thread else found

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """As of the backend; credentials in texts of the config are hidden."""
        self._send('the config', 'add_config', config_copy(config), **kwargs)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """As of the backend. It is waited for: a tracker that hooks into a model must not do so while it trains."""
        letter = self._send('the graph', 'add_graph', model, data_batch, **kwargs)
        if letter is not None:
            letter.done.wait(self._patience)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """As of the backend."""
        self._send('images', 'add_image', name, copied(image), step, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """As of the backend."""
        self._send('losses', 'add_scalar', name, copied(value), step, **kwargs)

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any) -> None:
        """As of the backend."""
        # MMEngine adds the iteration to what it logs in training, and not to what a validation gave.
        kind = 'losses' if 'iter' in scalar_dict else 'metrics'
        self._send(kind, 'add_scalars', copied(scalar_dict), step, file_path, **kwargs)

    def submit(self, kind: str, function: Callable[..., Any], *args: Any) -> None:
        """Call ``function(backend, *args)`` in the tracker's thread, after what was asked before.

        Args:
            kind: What it records, for messages.
            function: The function; `experiment` of what it is given is the tracker's own.
            *args: Not copied.
        """
        self._post(Letter(kind, functools.partial(function, self._backend, *args)))

    def ask(self, kind: str, call: Callable[[], Any]) -> Any:
        """What a call in the tracker's thread returns.

        Raises:
            TrackerError: It failed, or gave nothing in time.
        """
        if self._courier.is_own_thread:
            return call()
        letter = Letter(kind, call)
        self._post(letter)
        if not letter.done.wait(self._patience if self._usable else 0):
            raise TrackerError(f'The tracker {self.tracker} expected to give {kind}, but did not answer.')
        if letter.error is not None:
            raise TrackerError(
                f'The tracker {self.tracker} expected to give {kind}, but: {reason_of(letter.error)}.'
            ) from None
        return letter.result

    def close(self) -> None:
        """Wait until all is recorded, but not without end, and close the backend; say what is missing.

        Raises:
            TrackerError: In strict mode, where something is missing.
        """
        self._finish('close', self._patience)
        self._troubles.check()

    @property
    def _usable(self) -> bool:
        return not self._closed and os.getpid() == self._process

    def _finish(self, how: str, patience: float) -> None:
        if not self._usable:
            return
        atexit.unregister(self._at_exit)
        self._courier.send(Letter(_END, functools.partial(self._call, how)))
        self._closed = True
        in_time = self._courier.wait(patience)
        left = self._courier.stop()
        if not in_time:
            self._say_undelivered(left, patience)
        self._troubles.summarize()

    def _say_undelivered(self, left: Counter[str], patience: float) -> None:
        waiting = ', '.join(f'{number} of {kind}' for kind, number in left.most_common())
        self._troubles.say(
            f'The tracker {self.tracker} did not answer within {patience:g} s of the end of the run. Not recorded: '
            f'{waiting}. The run itself is complete.'
        )

    def _init_env(self) -> None:
        """Nothing: the thread opens the backend before its first call."""

    def _send(self, kind: str, method: str, *args: Any, **kwargs: Any) -> Letter | None:
        letter = Letter(kind, functools.partial(self._call, method, *args, **kwargs))
        return letter if self._post(letter) else None

    def _post(self, letter: Letter) -> bool:
        if os.getpid() != self._process:  # a worker was forked while the thread held who knows which locks
            return False
        self._troubles.check()
        if self._closed:
            self._troubles.say(f'The tracker {self.tracker} is closed; what comes after is not recorded.', 'closed')
            return False
        if self._courier.send(letter):
            return True
        self._troubles.full(letter.kind)
        return False

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """In the thread: call a method of the backend, or what stands in for it."""
        if method in ('close', 'abandon') and not self._opened:
            return None
        if method in self._changes:
            return self._changes[method](self._backend, *args, **kwargs)
        return getattr(self._backend, 'close' if method == 'abandon' else method)(*args, **kwargs)

    def _deliver(self, letter: Letter) -> None:
        """In the thread: make a call, unless it is hopeless."""
        kind = letter.kind
        if self._troubles.given_up(kind):
            self._troubles.lose(kind)
            letter.error = TrackerError(f'{self.tracker} was given up')
            return
        try:
            kind = START
            self._open(letter)
            kind = letter.kind
            letter.result = letter.call()
            self._troubles.went_well(kind)
        except BaseException as error:  # also what would end the thread without a word
            letter.error = error
            if not self._courier.stopped:  # else it is told already as what did not come in time
                self._troubles.failed(kind, error)
                self._troubles.lose(letter.kind)

    def _open(self, letter: Letter) -> None:
        """Begin the tracker's run, but not only to end it."""
        if not self._opened and letter.kind != _END:
            if '_init_env' in self._changes:
                self._changes['_init_env'](self._backend)
                self._backend._env_initialized = True
            _ = self._backend.experiment
            self._opened = True
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)  # what is registered last runs first: before the tracker ends itself
            self._troubles.went_well(START)


class _InThread:
    """An object whose methods are called in a tracker's thread."""

    def __init__(self, guard: GuardedBackend, target: Any) -> None:
        self._guard, self._target = guard, target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value) or isinstance(value, type):
            return value
        return lambda *args, **kwargs: self._guard.ask(name, functools.partial(value, *args, **kwargs))


def _abandon(reference: weakref.ref[GuardedBackend]) -> None:
    guard = reference()
    if guard is not None:
        guard._finish('abandon', _AT_EXIT)
