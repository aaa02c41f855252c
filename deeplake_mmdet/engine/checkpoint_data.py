"""A run is resumed on the data that it began with.

Half a training on one revision and half on another is the result of neither, and nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook

from deeplake_mmdet.errors import ConfigError

# What a revision's strings have to agree in; the address may differ between machines.
_SAME = ('dataset_id', 'branch', 'commit_id', 'view_id', 'query', 'rows', 'digest')


class CheckpointData(Hook):
    """Compares the training data with those of the checkpoint before a run is resumed.

    Args:
        anyway: Only warn where they differ.
    """

    def __init__(self, anyway: bool) -> None:
        self._anyway = anyway

    def after_load_checkpoint(self, runner: Any, checkpoint: Mapping[str, Any]) -> None:
        """Compare what the checkpoint says.

        Raises:
            ConfigError: It was trained on another revision.
        """
        then = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('deeplake')
        now = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('deeplake')
        if not then or not now:
            runner.logger.info('The checkpoint does not say which revision of a Deep Lake dataset it was trained on.')
            return
        differing = [name for name in _SAME if then.get(name, '') != now.get(name, '')]
        if not differing:
            return
        message = (
            f'The checkpoint expected the data that it was trained on, {_shown(then)}, but got {_shown(now)}, which '
            f'differs in {", ".join(differing)}.'
        )
        if not self._anyway:
            raise ConfigError(
                f'{message} Pin the data (deeplake_commit_id={then.get("commit_id")!r}, and branch, view and query as '
                'above), start a new run from the checkpoint with load_from, or pass --resume-anyway.'
            )
        runner.logger.warning(f'{message} It is resumed all the same, as --resume-anyway asks.')


def _shown(revision: Mapping[str, str]) -> str:
    facts = [f'{name} {revision.get(name)!r}' for name in ('view_id', 'query') if revision.get(name)]
    place = f'{revision.get("uri")} @ {revision.get("branch")}:{revision.get("commit_id")}'
    return ', '.join([place, *facts, f'{revision.get("rows")} rows', f'digest {str(revision.get("digest"))[:8]}'])
