"""How four numbers mean a box: the key ``deeplake_bbox_format``, and what a column declares of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deeplake_mmdet.errors import ConfigError

MODES = ('LTWH', 'LTRB', 'CCWH')
UNITS = ('pixel', 'fractional')


@dataclass(frozen=True)
class BoxFormat:
    """One of the six readings of a box.

    Attributes:
        mode: ``'LTWH'`` (left, top, width, height), ``'LTRB'`` (left, top, right, bottom) or ``'CCWH'`` (centre x,
            centre y, width, height).
        type: ``'pixel'`` (absolute) or ``'fractional'`` (divided by the image's width and height).
    """

    mode: str = 'LTWH'
    type: str = 'pixel'

    @classmethod
    def from_config(cls, value: Any) -> BoxFormat | None:
        """Read ``dict(mode=…, type=…)``; the type defaults to ``'pixel'``.

        Raises:
            ConfigError: Unknown keys or values.
        """
        if value is None or value == '' or isinstance(value, BoxFormat):
            return value or None
        if not isinstance(value, Mapping) or not set(value) <= {'mode', 'type'} or 'mode' not in value:
            raise ConfigError(
                "DeepLakeDataset(deeplake_bbox_format=) expected dict(mode='LTWH', type='pixel'), "
                f'but got {value!r}. The modes are {", ".join(MODES)}, the types {", ".join(UNITS)}.'
            )
        mode, unit = str(value['mode']).upper(), str(value.get('type', 'pixel')).lower()
        if mode not in MODES or unit not in UNITS:
            raise ConfigError(
                f'DeepLakeDataset(deeplake_bbox_format=) expected a mode of {", ".join(MODES)} and a type of '
                f'{", ".join(UNITS)}, but got mode={value["mode"]!r}, type={value.get("type", "pixel")!r}.'
            )
        return cls(mode, unit)

    def __str__(self) -> str:
        return f'{self.mode} {self.type}'


ALL_FORMATS = tuple(BoxFormat(mode, unit) for mode in MODES for unit in UNITS)
