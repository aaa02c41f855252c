"""Backbone, neck and dense heads run once for many images; then the detector's own loss finds them already done.

Only ``extract_feat`` of the detector and ``forward`` of its dense heads are replaced for a while, by functions that
know one input: the very tensors of one image. Whatever else they are asked is computed as ever, so a detector that
does something of its own gets right numbers, only later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from deeplake_mmdet.scoring.alone import replaced


class NotBatchable(Exception):
    """The structure of the detector does not allow to run several images at once; says why."""


class BatchedFeatures:
    """What backbone, neck and dense heads make of several images of one shape.

    Args:
        model: The detector, in the mode in which it will be asked.
        images: (n, C, H, W), preprocessed.

    Raises:
        NotBatchable: There is no ``extract_feat``, or it gives something else than batches.
    """

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        if not callable(getattr(model, 'extract_feat', None)):
            raise NotBatchable('it has no extract_feat')
        self._model, self._images = model, images
        self._features = model.extract_feat(images)
        check_batch(self._features, len(images))
        self._outputs = {name: head(self._features) for name, head in _dense_heads(model)}
        check_batch(list(self._outputs.values()), len(images))
        self._versions = self._changes()

    @contextlib.contextmanager
    def image(self, place: int) -> Iterator[torch.Tensor]:
        """The detector finds everything done for one image, that it must be given as this tensor (1, C, H, W)."""
        with self._found(*(one_of(each, place) for each in (self._images, self._features, self._outputs))) as image:
            yield image

    @contextlib.contextmanager
    def all_features(self) -> Iterator[torch.Tensor]:
        """The detector finds the features of all images, that it must be given as this tensor; heads run again."""
        with self._found(self._images, self._features, {}) as images:
            yield images

    @contextlib.contextmanager
    def _found(self, images: torch.Tensor, features: Any, outputs: dict[str, Any]) -> Iterator[torch.Tensor]:
        asked: list[bool] = []
        with contextlib.ExitStack() as stack:
            stack.enter_context(_known(self._model, 'extract_feat', images, features, asked))
            for name, output in outputs.items():
                stack.enter_context(_known(getattr(self._model, name), 'forward', features, output, []))
            yield images
        if not asked:
            raise NotBatchable('it does not ask extract_feat for the features of its inputs')
        if self._changes() != self._versions:
            raise NotBatchable('its head changes the features in place')

    def _changes(self) -> list[int]:
        return [tensor._version for tensor in tensors_of([self._features, self._outputs])]

    def same_in_this_mode(self) -> bool:
        """Whether backbone and neck give the same in the mode that the detector is in now."""
        again = tensors_of(self._model.extract_feat(self._images))
        before = tensors_of(self._features)
        return len(again) == len(before) and all(
            one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
            for one, other in zip(again, before, strict=True)
        )


def _dense_heads(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Heads of the detector whose losses begin with ``self(features)``: those that leave this to `BaseDenseHead`."""
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    for name, head in model.named_children():
        if isinstance(head, BaseDenseHead) and all(
            getattr(type(head), method) is getattr(BaseDenseHead, method) for method in ('loss', 'loss_and_predict')
        ):
            yield name, head


@contextlib.contextmanager
def _known(owner: nn.Module, method: str, question: Any, answer: Any, asked: list[bool]) -> Iterator[None]:
    compute = getattr(owner, method)

    def answered(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and args[0] is question and not kwargs:
            asked.append(True)
            return answer
        return compute(*args, **kwargs)

    with replaced(owner, method, answered):
        yield


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """The tensors in nested tuples, lists and dicts, in order.

    Raises:
        NotBatchable: There is something else in them.
    """
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, (tuple, list)):
        return [tensor for each in tree for tensor in tensors_of(each)]
    if isinstance(tree, dict):
        return tensors_of(list(tree.values()))
    if tree is None:
        return []
    raise NotBatchable(f'its features have a {type(tree).__name__} in them')


def check_batch(tree: Any, size: int) -> None:
    """Raises `NotBatchable` unless the first dimension of every tensor is that of the images."""
    shapes = [tuple(tensor.shape) for tensor in tensors_of(tree)]
    for shape in shapes:
        if not shape or shape[0] != size:
            raise NotBatchable(f'its features of {size} images have the shape {shape}')


def one_of(tree: Any, place: int) -> Any:
    """The same tree with one image of each tensor; its first dimension stays, as 1."""
    if isinstance(tree, torch.Tensor):
        return tree[place : place + 1]
    if isinstance(tree, dict):
        return {key: one_of(value, place) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        values = [one_of(value, place) for value in tree]
        return type(tree)(*values) if hasattr(tree, '_fields') else type(tree)(values)
    return tree
