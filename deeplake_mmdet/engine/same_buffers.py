"""Ranks on CPUs validate one model.

Gradients are shared between ranks, the running statistics of batch norm are not, unless it is synchronised, which on
CPUs it cannot be. Each rank would score its part of the images with other statistics, and the metrics would be those of
no checkpoint. Rank 0 writes the checkpoints, so its buffers are the ones.
"""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast
from mmengine.hooks import Hook


class SameBuffers(Hook):
    """Gives all ranks the buffers of rank 0 before each validation. Register it last: averaged models come first."""

    def before_val_epoch(self, runner: Any) -> None:
        for buffer in runner.model.buffers():
            broadcast(buffer)
