"""What a report is about, apart from the evaluation itself: the run, the model, and when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """Words for the head of the page.

    Attributes:
        config: Name of the config file, or of the experiment.
        stage: ``'validation'`` or ``'test'``.
        written: When, such as ``2024-01-31 12:00 +0000``.
        epoch: Epochs trained so far; 0 where no training runs, or not by epochs.
        iteration: Iterations trained so far; 0 where no training runs.
        checkpoint: Name of the file that the weights came from or were written to; empty where it is not known.
    """

    config: str
    stage: str
    written: str
    epoch: int = 0
    iteration: int = 0
    checkpoint: str = ''

    @property
    def title(self) -> str:
        """Such as ``rtmdet.py: validation after epoch 4``."""
        after = f' after epoch {self.epoch}' if self.epoch else ''
        after = after or (f' after iteration {self.iteration}' if self.iteration else '')
        return f'{self.config}: {self.stage}{after}'
