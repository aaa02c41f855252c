"""SSD's head as the other heads expect it.

Since MMDetection 3.2 every dense head asks its own ``loss_cls`` how to read class scores. `SSDHead` has none, because
its losses are functions, and so any SSD that is built from a config fails at its first evaluation.
"""

from __future__ import annotations

from typing import Any


def let_ssd_predict(model: Any) -> None:
    """Say that the SSD heads of a model have no ``loss_cls``, where they leave it open.

    Args:
        model: A detector; changed in place. Its weights and checkpoints stay as they are.
    """
    from mmdet.models.dense_heads import SSDHead

    for head in model.modules():
        if isinstance(head, SSDHead) and not hasattr(head, 'loss_cls'):
            head.loss_cls = None
