"""The part of an image's loss that belongs to each of its objects: that of the predictions assigned to it.

While a head computes its losses, what it assigned to which object is noted, and each of its loss modules is asked a
second time for the losses of single predictions. They are scaled so that objects and background together are the term.
Which prediction a number belongs to is a matter of order, which is known for some heads only; others have no loss per
object: those of RetinaNet and its like (`AnchorHead`), RTMDet, YOLOX, DETR and its descendants (last decoder layer),
and the box head of Faster and Mask R-CNN.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from deeplake_mmdet.scoring.alone import replaced


@dataclass(frozen=True)
class _Head:
    """A head whose order of predictions is known.

    Attributes:
        module: It has the loss modules, which are named as the terms are.
        assigner: Its method `method` says which prediction is whose.
    """

    module: nn.Module
    assigner: Any
    method: str

    def losses(self) -> list[tuple[str, nn.Module]]:
        return [(name, loss) for name, loss in self.module.named_children() if name.startswith('loss_')]


@dataclass
class _Call:
    value: Any  # what the loss module gave
    rows: torch.Tensor | None  # (n,), the same for each prediction; None if it cannot tell
    assigned: torch.Tensor | None  # by the latest assignment


@dataclass
class Noted:
    """What one computation of losses assigned and gave."""

    assigned: list[torch.Tensor] = field(default_factory=list)  # of each assignment, (n,): 1-based objects, 0 for none
    calls: dict[str, list[_Call]] = field(default_factory=dict)  # by term


class ObjectLosses:
    """Takes the losses of a detector apart.

    Args:
        model: The detector.
    """

    def __init__(self, model: nn.Module) -> None:
        head = _known_head(model)
        self._head = head if head and all(_can_be_asked_twice(loss) for _, loss in head.losses()) else None

    @contextlib.contextmanager
    def noted(self) -> Iterator[Noted]:
        """Notes what a computation of the losses of one image assigns and gives."""
        noted = Noted()
        with contextlib.ExitStack() as stack:
            if self._head is not None:
                assign = _noting_assignment(getattr(self._head.assigner, self._head.method), noted)
                stack.enter_context(replaced(self._head.assigner, self._head.method, assign))
                for name, loss in self._head.losses():
                    noted.calls[name] = []
                    forward = _noting_loss(loss.forward, noted, noted.calls[name])
                    stack.enter_context(replaced(loss, 'forward', forward))
            yield noted

    def of(self, losses: dict[str, Any], noted: Noted, count: int) -> torch.Tensor | None:
        """The loss of each object of an image.

        Args:
            losses: Of the image, as the detector gave them.
            noted: Meanwhile.
            count: Of its objects, n.

        Returns:
            (n,), float32, NaN for objects that no prediction is assigned to; None where the head does not allow it.
        """
        if self._head is None:
            return None
        if not count:
            return torch.zeros(0)
        parts = [_parts(losses[name], calls, count) for name, calls in noted.calls.items() if calls]
        found = [part for part in parts if part is not None]
        return sum(found[1:], found[0]) if found and len(found) == len(parts) else None


def _parts(term: Any, calls: list[_Call], count: int) -> torch.Tensor | None:
    """What a term has of each object; None if it cannot be told."""
    values = [term] if isinstance(term, torch.Tensor) else list(term)
    exact = [call for call in calls if any(call.value is value for value in values)]
    given = len(exact) == len(values)  # else the head scales afterwards what its loss module gives
    chosen = exact if given else calls
    assigned = chosen[0].assigned
    single = [call.rows for call in chosen if call.rows is not None and call.assigned is assigned]
    if assigned is None or len(single) < len(chosen):
        return None
    rows = torch.cat(single)
    owners = _owners(assigned, len(rows))
    if owners is None:
        return None
    scale = 1.0 if given else _ratio(sum(value.mean() for value in values), sum(call.value for call in chosen))
    parts = rows.new_zeros(count + 1).index_add_(0, owners, rows * scale)
    found = torch.zeros_like(parts).index_fill_(0, assigned, 1)
    return torch.where(found > 0, parts, torch.nan)[1:]


def _owners(assigned: torch.Tensor, count: int) -> torch.Tensor | None:
    """The object of each of so many predictions: all, or those that have an object."""
    if len(assigned) == count:
        return assigned
    positive = assigned[assigned > 0]
    return positive if len(positive) == count else None


def _noting_assignment(assign: Any, noted: Noted) -> Any:
    def noting(*args: Any, **kwargs: Any) -> Any:
        result = assign(*args, **kwargs)
        if hasattr(result, 'gt_inds'):
            noted.assigned.append(result.gt_inds.clamp(min=0))
        else:  # a sample of regions, those with an object first
            nobody = result.neg_inds.new_zeros(len(result.neg_inds))
            noted.assigned.append(torch.cat([result.pos_assigned_gt_inds + 1, nobody]))
        return result

    return noting


def _noting_loss(forward: Any, noted: Noted, calls: list[_Call]) -> Any:
    def noting(prediction: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        value = forward(prediction, *args, **kwargs)
        single = forward(prediction, *args, **{**kwargs, 'avg_factor': None, 'reduction_override': 'none'})
        assigned = noted.assigned[-1] if noted.assigned else None
        calls.append(_Call(value, _rows(value, single, len(prediction)), assigned))
        return value

    return noting


def _rows(value: Any, single: Any, count: int) -> torch.Tensor | None:
    """Losses of single predictions, whose sum is the value; None if they are not of these predictions."""
    if not isinstance(value, torch.Tensor) or not isinstance(single, torch.Tensor):
        return None
    if not single.ndim:  # losses of IoU that have no weight are one 0
        return value.new_zeros(count)
    if len(single) != count:
        return None
    rows = single.reshape(count, -1).sum(1)
    return rows * _ratio(value, rows.sum())


def _ratio(whole: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
    return torch.where(sums == 0, torch.zeros_like(sums), whole / sums)


def _can_be_asked_twice(loss: nn.Module) -> bool:
    """Whether it gives the losses of single predictions, and does not count how often it is asked."""
    takes = inspect.signature(loss.forward).parameters
    return {'avg_factor', 'reduction_override'} <= set(takes) and not any(True for _ in loss.buffers())


def _known_head(model: nn.Module) -> _Head | None:
    from mmdet.models.dense_heads import AnchorHead, DETRHead, RTMDetHead, YOLOXHead
    from mmdet.models.roi_heads import BBoxHead, StandardRoIHead

    regions: Any = getattr(model, 'roi_head', None)
    dense: Any = getattr(model, 'bbox_head', None)
    if regions is not None:
        own = type(regions).loss is StandardRoIHead.loss and type(regions.bbox_head).loss is BBoxHead.loss
        return _Head(regions.bbox_head, regions.bbox_sampler, 'sample') if own else None
    known = [head.loss_by_feat for head in (AnchorHead, RTMDetHead, YOLOXHead)]
    if isinstance(dense, DETRHead) or getattr(type(dense), 'loss_by_feat', None) in known:
        return _Head(dense, dense.assigner, 'assign')
    return None
