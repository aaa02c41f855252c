"""A finding: one line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, WARNING, PROBLEM = 'ok', 'note', 'warning', 'problem'


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        level: ``'ok'``, ``'note'``, ``'warning'`` (works, with a drawback) or ``'problem'``.
        subject: What was looked at.
        text: What was found.
        fixes: Commands, each of which mends it.
    """

    level: str
    subject: str
    text: str
    fixes: tuple[str, ...] = ()
