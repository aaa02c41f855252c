"""How far an import was at a commit: the message of that commit says it, so that both are there or neither is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

_HEADING = 'Unfinished import '


@dataclass(frozen=True)
class Event:
    """What the images say and the annotations do not, so that only who read the image knows it.

    Attributes:
        position: Of the image.
        kind: Of oddity, see `deeplake_mmdet.convert.report`.
        left_out: Whether the image was not stored.
    """

    position: int
    kind: str
    left_out: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """How far an import is.

    Attributes:
        fingerprint: Of what is imported and how; empty for an import that cannot be resumed.
        total: Images in all.
        done: Images dealt with.
        rows: Rows on the branch, those that were there before included.
        base: Rows that were there before.
        created: Whether the import made the dataset.
        first_id: Of images that have no id of their own.
        complete: Whether nothing is left to do but to merge; see `is_whole`.
        events: All so far; Deep Lake may forget the messages of older commits.
    """

    fingerprint: str = ''
    total: int = 0
    done: int = 0
    rows: int = 0
    base: int = 0
    created: bool = False
    first_id: int = 0
    complete: bool = False
    events: tuple[Event, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all rows are there. A last commit that says so has no change of its own, and Deep Lake drops it."""
        return self.complete or (bool(self.fingerprint) and self.done == self.total)

    def message(self) -> str:
        """As the message of a commit."""
        return _HEADING + json.dumps(asdict(self))

    @classmethod
    def parse(cls, message: str | None) -> Checkpoint | None:
        """From the message of a commit; None when it is another one."""
        if not message or not message.startswith(_HEADING):
            return None
        read: dict[str, Any] = json.loads(message.removeprefix(_HEADING))
        return cls(**read | {'events': tuple(Event(**event) for event in read['events'])})
