"""What a translation did and what it could not do, in the order of the work.

A user reads these lines once in the log, so each says what an old key became. What has no counterpart is collected and
raised together: whoever moves a config to MMDetection 3 wants the whole list, not its first entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from deeplake_mmdet.errors import ConfigError


@dataclass
class Notes:
    """The lines of one translation, and the problems it met.

    Attributes:
        lines: What was translated or dropped, each line once, in order.
        problems: What has no counterpart in MMDetection 3, each once, in order.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def translated(self, old: str, new: str) -> None:
        """Note that ``old`` became ``new``, for example ``'runner'`` and ``'train_cfg'``."""
        self._add(self.lines, f'{old} -> {new}')

    def dropped(self, key: str, why: str) -> None:
        """Note that ``key`` is left out because it says nothing that MMDetection 3 needs to be told."""
        self._add(self.lines, f'{key} dropped: {why}')

    def problem(self, key: str, why_and_3x_way: str) -> None:
        """Note that ``key`` has no counterpart; the second argument says why, and how MMDetection 3 says it."""
        self._add(self.problems, f'{key}: {why_and_3x_way}')

    def raise_problems(self, filename: str | None = None) -> None:
        """Raise all problems as one.

        Args:
            filename: The config's file, if it has one.

        Raises:
            ConfigError: There are problems; the message has one line for each.
        """
        if self.problems:
            listed = '\n'.join(f'  {problem}' for problem in self.problems)
            name = filename or 'This config'
            raise ConfigError(f'{name} has keys of MMDetection 2 that cannot be translated:\n{listed}')

    @staticmethod
    def _add(lines: list[str], line: str) -> None:
        if line not in lines:
            lines.append(line)
