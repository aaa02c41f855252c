"""Reading the predictions that ``deeplake-mmdet test --out`` wrote, without running code that is in the file.

MMDetection writes them as a plain pickle, and a pickle can call any function. Here the few names that it needs for
tensors, run-length encoded masks, numbers and text are given to stand-ins, as for checkpoints, and no other name is
looked up.
"""

from __future__ import annotations

import io
import os
import pickle
from typing import Any

from deeplake_mmdet.checkpoints.stand_ins import STAND_INS, StandIn, restore
from deeplake_mmdet.errors import ConfigError


class _Bytes(StandIn):
    """``encode(text, 'latin1')``: how the older protocols of pickle write bytes."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if type(text) is not str or encoding != 'latin1':
            raise ValueError(f'text encoded as {encoding!r} where bytes belong')
        return text.encode('latin1')


class _Storage(StandIn):
    """``_load_from_bytes(data)``: the numbers of a tensor, one after another."""

    def restore(self) -> Any:
        import torch

        (data,) = self.arguments
        return torch.load(io.BytesIO(data), weights_only=True)


class _Tensor(StandIn):
    """``_rebuild_tensor_v2(storage, offset, size, stride, …)``."""

    def restore(self) -> Any:
        import torch

        stored, offset, size, stride = self.arguments[:4]
        storage = restore(stored)
        return torch.empty(0, dtype=storage.dtype).set_(storage).as_strided(size, stride, offset)


_NAMES: dict[str, Any] = {
    **STAND_INS,
    '__builtin__.bytes': bytes,  # as older protocols name what `STAND_INS` has
    '_codecs.encode': _Bytes,
    'collections.OrderedDict': StandIn,  # the hooks of a tensor; there are none
    'torch._utils._rebuild_tensor_v2': _Tensor,
    'torch.storage._load_from_bytes': _Storage,
}


class _Unpickler(pickle.Unpickler):
    """Looks up nothing but the names of `_NAMES`."""

    def find_class(self, module: str, name: str) -> Any:
        full = f'{module}.{name}'
        if full not in _NAMES:
            raise pickle.UnpicklingError(f'{full}, which could run code when it is read')
        return _NAMES[full]


def read_predictions(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read a file of predictions.

    Args:
        path: A file that ``deeplake-mmdet test --out`` or MMDetection's ``tools/test.py --out`` wrote.

    Returns:
        One dict an image: ``img_id``, ``img_path``, ``ori_shape`` and what else the test pipeline packs, and
        ``pred_instances``, a dict of ``bboxes`` (xyxy pixels, float (n, 4)), ``scores`` (float (n,)), ``labels``
        (int (n,)) as tensors and, of a model of masks, ``masks``, a list of n COCO run-length encodings.

    Raises:
        ConfigError: There is no such file, it is damaged, or it holds something else; nothing of it was run.
    """
    if not os.path.isfile(path):
        raise ConfigError(f'The predictions {os.fspath(path)!r} do not exist. Write them with `test --out`.')
    try:
        with open(path, 'rb') as file:
            content = restore(_Unpickler(file).load())
    except (pickle.UnpicklingError, EOFError, ArithmeticError, LookupError, MemoryError) as error:
        raise _refusal(path, error) from None
    except (AttributeError, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise _refusal(path, error) from error
    _check_form(path, content)
    return content


def _refusal(path: str | os.PathLike[str], found: object) -> ConfigError:
    return ConfigError(
        f'The predictions {os.fspath(path)!r} expected a list with one dict an image, as `test --out` writes it, '
        f'but got {found}.'
    )


def _check_form(path: str | os.PathLike[str], content: Any) -> None:
    if not isinstance(content, list):
        raise _refusal(path, f'a {type(content).__name__}')
    for i, item in enumerate(content):
        if not isinstance(item, dict):
            raise _refusal(path, f'a {type(item).__name__} at place {i}')
        if 'img_id' not in item or not isinstance(item.get('pred_instances'), dict):
            raise _refusal(path, f'a dict of {sorted(map(str, item))} at place {i}, without img_id or pred_instances')
        absent = [name for name in ('bboxes', 'scores', 'labels') if name not in item['pred_instances']]
        if absent:
            raise _refusal(path, f'pred_instances without {absent[0]} at place {i}')
