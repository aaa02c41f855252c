"""One transform of a pipeline while it is being translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes


@dataclass
class Step:
    """A transform's dict, which the translation changes, and where it stands.

    Attributes:
        config: The dict, a copy of the user's.
        where: The pipeline's config key, such as ``data.train.pipeline``.
        notes: Where translations and problems are noted.
        loads_masks: Whether the samples that reach this transform have masks.
        kind: The name under which MMDetection 2 knows the transform.
    """

    config: dict[str, Any]
    where: str
    notes: Notes
    loads_masks: bool = True
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        self.kind = str(self.config['type'])

    def retype(self, new: str) -> None:
        """Give the transform its name in MMDetection 3."""
        self.notes.translated(self.kind, new)
        self.config['type'] = new

    def rename(self, old: str, new: str, convert: Callable[[Any], Any] = lambda value: value) -> None:
        """Move a value to its new key, if it is given."""
        if old in self.config:
            self.notes.translated(f'{self.kind}.{old}', f'{self.config["type"]}.{new}')
            self.config[new] = convert(self.config.pop(old))

    def swap(self, key: str) -> None:
        """Turn (height, width), as MMDetection 2 has it here, into MMDetection 3's (width, height)."""
        value = self.config.get(key)
        if isinstance(value, (list, tuple)) and len(value) == 2:
            self.config[key] = (value[1], value[0])
            if value[0] != value[1]:
                self.notes.translated(f'{self.kind}.{key}=(height, width)', '(width, height)')

    def drop(self, *keys: str, why: str) -> None:
        """Leave out keys that change nothing."""
        for key in keys:
            if key in self.config:
                del self.config[key]
                self.notes.dropped(f'{self.kind}.{key}', why)

    def expect(self, key: str, value: Any, remedy: str) -> None:
        """Leave out a key that MMDetection 3 lacks if it has the only value that MMDetection 3 acts by.

        Args:
            key: The key.
            value: What MMDetection 3 does; another value is a problem.
            remedy: What to say then.
        """
        if self.config.pop(key, value) != value:
            self.refuse(remedy, key)

    def refuse(self, why_and_3x_way: str, key: str | None = None) -> None:
        """Note a problem of this transform, or of one of its keys."""
        name = f'{self.kind}.{key}' if key else self.kind
        self.notes.problem(f'{self.where}: {name}', why_and_3x_way)


def plain(value: Any) -> Any:
    """A config value as builtin dicts, lists and tuples that can be changed without changing the original."""
    if isinstance(value, Mapping):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(child) for child in value)
    return value
