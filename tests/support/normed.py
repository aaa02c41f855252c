"""A tiny detector with a layer of batch norm, synchronised or not, by name in a config of any process."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from torch import nn

from tests.support.small_training import TinyDetector


@MODELS.register_module(force=True)
class NormedDetector(TinyDetector):
    """`TinyDetector` that normalises its features.

    Args:
        norm: Type of the layer, such as ``'SyncBN'``.
        **options: See `TinyDetector`.
    """

    def __init__(self, norm: str = 'SyncBN', **options: Any) -> None:
        super().__init__(**options)
        self.conv = nn.Sequential(self.conv, build_norm_layer(dict(type=norm), 16)[1])
