"""A config in the form of MMDetection 2, wholly or in part, becomes one of MMDetection 3.

The order of the parts matters. The model comes first, as MMDetection 2's ``train_cfg`` has the name of MMDetection 3's
training loop; then the data, whose pipelines say what the model's preprocessor has to do; then the schedule and the
rest, which fill in how long the loops run.
"""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.config.upgrade.data import upgrade_data
from deeplake_mmdet.config.upgrade.model import upgrade_model, upgrade_preprocessor
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.runtime import upgrade_runtime
from deeplake_mmdet.config.upgrade.schedule import upgrade_schedule


def upgrade(config: Any, filename: str | None = None) -> list[str]:
    """Translate in place what is in MMDetection 2's form.

    Args:
        config: An MMEngine ``Config`` or any mutable mapping; both forms may be mixed in it.
        filename: The config's file, for messages.

    Returns:
        One line per translation; empty, and ``config`` untouched, if nothing in it is of MMDetection 2.

    Raises:
        ConfigError: Keys that have no counterpart, all at once, each with MMDetection 3's way.
    """
    notes = Notes()
    upgrade_model(config, notes)
    pixels, untranslated = upgrade_data(config, notes)
    upgrade_preprocessor(config, pixels, untranslated, notes)
    upgrade_schedule(config, notes)
    upgrade_runtime(config, notes)
    notes.raise_problems(filename)
    return notes.lines
