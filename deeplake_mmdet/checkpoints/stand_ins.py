"""Stand-ins for what MMEngine pickles into a checkpoint beside the weights.

With ``weights_only=True`` torch reads tensors, containers and plain values. Any other class or function that a pickle
names has to be allowed, and is then called with whatever the pickle says. MMEngine's message hub would need `getattr`,
which reaches everything, and numpy's ``ndarray`` and ``dtype``, which make pointers out of bytes (an array of objects
over a buffer). So none of them is allowed: the pickle gets classes that only keep what they are called with, and
`restore` makes histories and numbers of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_NUMBERS = 'biufc'  # numpy's kinds of bool, int, unsigned int, float and complex


class StandIn:
    """Keeps its arguments and the state that a pickle sets; does nothing with them until `restore`."""

    arguments: tuple[Any, ...]
    state: Any = None

    def __new__(cls, *arguments: Any) -> StandIn:
        kept = super().__new__(cls)
        kept.arguments = arguments
        return kept

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def restore(self) -> Any:
        """What this stands for; nothing, where it is not said below."""
        raise ValueError('a class or a function where a value belongs')


class _Dtype(StandIn):
    """``dtype(letters, align, copy)``; state: version, byte order, and what only structures have."""

    def restore(self) -> np.dtype:
        letters = self.arguments[0]
        if not isinstance(letters, str) or np.dtype(letters).kind not in _NUMBERS:
            raise ValueError(f'an array of {letters!r}, not of numbers')
        return np.dtype(letters).newbyteorder(self.state[1] if self.state else '=')


class _Scalar(StandIn):
    """``scalar(dtype, data)``."""

    def restore(self) -> np.generic:
        dtype, data = self.arguments
        return np.frombuffer(data, restore(dtype))[0]


class _Array(StandIn):
    """``_reconstruct(...)``, an empty array; state: version, shape, dtype, whether by columns, data."""

    def restore(self) -> np.ndarray:
        _, shape, dtype, by_columns, data = self.state
        flat = np.frombuffer(data, restore(dtype)) if data else np.empty(0, restore(dtype))
        return flat.reshape(shape, order='F' if by_columns else 'C').copy()


class _History(StandIn):
    """MMEngine's ``HistoryBuffer``; state: its attributes, and its methods by name, which the class has anyway."""

    def restore(self) -> Any:
        from mmengine.logging import HistoryBuffer

        values, counts = (restore(self.state[key]) for key in ('_log_history', '_count_history'))
        return HistoryBuffer(values, counts, self.state['max_length'])


class _OneCycle(StandIn):
    """The class of MMEngine's one-cycle schedules, which save the function that anneals."""


class _Method(StandIn):
    """``getattr(owner, name)``: how the methods of a class are written; only the two of `_OneCycle` are given back."""

    def restore(self) -> Any:
        if self.arguments not in ((_OneCycle, '_annealing_cos'), (_OneCycle, '_annealing_linear')):
            return super().restore()
        from mmengine.optim.scheduler import OneCycleParamScheduler

        return getattr(OneCycleParamScheduler, self.arguments[1])


# By the names that a pickle has for them; numpy 2 moved the functions of numpy 1.
STAND_INS: dict[str, Any] = {
    'builtins.bytes': bytes,  # how no bytes at all are written
    'builtins.getattr': _Method,
    'mmengine.logging.history_buffer.HistoryBuffer': _History,
    'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler': _OneCycle,
    'numpy.dtype': _Dtype,
    'numpy.ndarray': StandIn,
    **{f'numpy.{core}.multiarray._reconstruct': _Array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _Scalar for core in ('core', '_core')},
}


def restore(value: Any) -> Any:
    """Put what they stand for in the place of all stand-ins.

    Args:
        value: What was unpickled; dicts and lists in it are changed in place.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A stand-in was called with what makes no numbers and no history.
    """
    if isinstance(value, type) and issubclass(value, StandIn):
        return StandIn().restore()
    if isinstance(value, StandIn):
        return value.restore()
    if isinstance(value, dict):
        for key in value:
            value[key] = restore(value[key])
    elif isinstance(value, list):
        value[:] = map(restore, value)
    elif type(value) is tuple:
        return tuple(map(restore, value))
    return value
