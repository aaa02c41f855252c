"""A run is resumed on the data that it began with.

Half a training on one revision and half on another is the result of neither, and nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook

from deeplake_mmdet.engine.run_datasets import run_datasets
from deeplake_mmdet.errors import ConfigError

KEY = 'deeplake_data'  # in checkpoint['meta']; its ``dataset_meta`` is of the first of several datasets only

# What a revision's strings have to agree in; the address may differ between machines.
_SAME = ('dataset_id', 'branch', 'commit_id', 'view_id', 'query', 'rows', 'digest')


class CheckpointData(Hook):
    """Writes the revisions of all training data into checkpoints, and compares them before a run is resumed.

    Args:
        resume: Whether the run is resumed.
        anyway: Only warn where they differ.
    """

    def __init__(self, resume: bool, anyway: bool) -> None:
        self._resume, self._anyway = resume, anyway

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Say what the checkpoint is trained on."""
        checkpoint['meta'][KEY] = _training_data(runner)

    def after_load_checkpoint(self, runner: Any, checkpoint: Mapping[str, Any]) -> None:
        """Compare what the checkpoint says.

        Raises:
            ConfigError: It was trained on another revision, or on more or fewer datasets.
        """
        if not self._resume:
            return
        meta, now = checkpoint.get('meta') or {}, _training_data(runner)
        then = meta.get(KEY)
        if then is None:  # MMEngine itself wrote it, or an earlier version
            first = (meta.get('dataset_meta') or {}).get('deeplake')
            then, now = [first] if first else [], now[:1]
        if not then or not now:
            runner.logger.info('The checkpoint does not say which revision of a Deep Lake dataset it was trained on.')
            return
        if len(then) != len(now):
            self._refuse(
                runner,
                f'The checkpoint expected the {len(then)} datasets that it was trained on, but got {len(now)}.',
                'Train on the same datasets',
            )
        for before, after in zip(then, now, strict=False):
            differing = [name for name in _SAME if before.get(name, '') != after.get(name, '')]
            if differing:
                self._refuse(
                    runner,
                    f'The checkpoint expected the data that it was trained on, {_shown(before)}, but got '
                    f'{_shown(after)}, which differs in {", ".join(differing)}.',
                    f'Pin the data (deeplake_commit_id={before.get("commit_id")!r}, and branch, view and query as '
                    'above)',
                )

    def _refuse(self, runner: Any, message: str, advice: str) -> None:
        if not self._anyway:
            raise ConfigError(
                f'{message} {advice}, start a new run from the checkpoint with load_from, or pass --resume-anyway.'
            )
        runner.logger.warning(f'{message} It is resumed all the same, as --resume-anyway asks.')


def _training_data(runner: Any) -> list[dict[str, str]]:
    """The revisions of the training's Deep Lake datasets, in the order of the config."""
    found = run_datasets(runner)
    return [dataset.source.revision.to_strings() for key, dataset in found if key.startswith('train_dataloader')]


def _shown(revision: Mapping[str, str]) -> str:
    facts = [f'{name} {revision.get(name)!r}' for name in ('view_id', 'query') if revision.get(name)]
    place = f'{revision.get("uri")} @ {revision.get("branch")}:{revision.get("commit_id")}'
    return ', '.join([place, *facts, f'{revision.get("rows")} rows', f'digest {str(revision.get("digest"))[:8]}'])
