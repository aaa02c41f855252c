"""The conditions under which an image has its own loss: no augmentation, no statistics, dropout or ranks of others.

A loss is asked of a detector that trains, and some detectors look at their ``training`` flag to see whether they are
asked: FCOS scales its boxes by the stride when it does not train, Deformable DETR and DINO leave out what their losses
need. So the flag stays on in MMDetection's own modules, and is off in all layers below them, which normalise and drop.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

# Modules of MMDetection that drop values themselves, not by a layer below them.
_DROPPING = frozenset({'DropBlock', 'RoIGather', 'BiMultiHeadAttention'})


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute has another value for a while.

    Args:
        owner: A module of PyTorch or of Python, or any object.
        name: Its attribute; a method is replaced for this object only.
        value: What it is meanwhile.
    """
    own = name in vars(owner) or name in vars(owner).get('_modules', ())
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextlib.contextmanager
def without_ranks() -> Iterator[None]:
    """This process takes itself for the only one.

    Heads of MMDetection average the number of positives over all ranks (``reduce_mean``). The loss of an image alone
    has nothing of other ranks' images in it, and ranks that have unequal numbers of images would wait for each other
    for ever.
    """
    if not torch.distributed.is_available():
        yield
        return
    with replaced(torch.distributed, 'is_initialized', lambda: False):
        yield


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Convolutions on a GPU keep all 24 bits, so that an image in a batch has the features that it has alone."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=cudnn.enabled, deterministic=cudnn.deterministic, allow_tf32=False):
        yield


def seed_all(seed: int) -> None:
    """Random samplers of regions draw the same for every image that follows this."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@contextlib.contextmanager
def kept_randomness() -> Iterator[None]:
    """What is drawn meanwhile changes no later draw: the states of PyTorch, NumPy and Python are put back."""
    states = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()):
        try:
            yield
        finally:
            np.random.set_state(states[0])
            random.setstate(states[1])


@contextlib.contextmanager
def mode(model: nn.Module, *, loss: bool) -> Iterator[None]:
    """Every module is as it has to be for losses or for predictions; later it is as it was.

    Args:
        model: The detector.
        loss: Whether for losses; else all modules are in eval mode.
    """
    before = [(module, module.training) for module in model.modules()]
    for module, _ in before:
        module.training = loss and (module is model or _of_detectors(module))
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def counting_losses(model: nn.Module) -> list[nn.Module]:
    """Loss modules that count something over images; `SeesawLoss`: how often each class was seen."""
    losses = [module for module in model.modules() if _is_of(type(module), 'mmdet.models.losses')]
    return [loss for loss in losses if any(True for _ in loss.buffers())]


@contextlib.contextmanager
def kept_buffers(modules: list[nn.Module]) -> Iterator[None]:
    """What modules count meanwhile is forgotten afterwards."""
    buffers = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)


def _is_of(kind: type, package: str) -> bool:
    return any(f'{one.__module__}.'.startswith(f'{package}.') for one in kind.__mro__)


def _of_detectors(module: nn.Module) -> bool:
    dropping = any(one.__name__ in _DROPPING for one in type(module).__mro__)
    return _is_of(type(module), 'mmdet.models') and not dropping and not hasattr(module, 'running_mean')
