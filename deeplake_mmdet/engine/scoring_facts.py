"""From results back to what made them: which checkpoint, config, code and data, as plain texts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from deeplake_mmdet.config.redaction import scrub
from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.engine.score import ScoringOptions
from deeplake_mmdet.lineage.environment import environment
from deeplake_mmdet.lineage.record import KEY, config_digest, file_digest


def scoring_facts(
    config: Any, checkpoint: str, meta: Mapping[str, Any], dataset: DeepLakeDataset, options: ScoringOptions
) -> dict[str, str]:
    """What is stored with results.

    Args:
        config: The prepared config.
        checkpoint: File or URL.
        meta: The checkpoint's own ``meta``.
        dataset: What was scored.
        options: How.

    Returns:
        ``checkpoint`` and its ``checkpoint_sha256`` (empty for a URL), ``training_run`` (id of the run that wrote it,
        or empty), ``config`` and ``config_sha256``, ``uri``, ``branch``, ``commit_id``, ``view_id``, ``query``,
        ``dataset_id``, ``digest`` and ``rows`` of the data, ``iou_thr``, ``score_thr``, ``code``, ``time`` (UTC).
    """
    around = environment(config.filename)
    return {
        'checkpoint': scrub(os.path.basename(checkpoint) if os.path.isfile(checkpoint) else checkpoint),
        'checkpoint_sha256': file_digest(checkpoint) if os.path.isfile(checkpoint) else '',
        'training_run': _training_run(meta),
        'config': scrub(str(config.filename or '')),
        'config_sha256': config_digest(config),
        **{key: scrub(value) for key, value in dataset.metainfo['deeplake'].items()},
        'iou_thr': str(options.iou_thr),
        'score_thr': str(options.score_thr),
        'code': json.dumps({**around['code'], **around['libraries']}, sort_keys=True),
        'time': datetime.now(timezone.utc).isoformat(timespec='seconds'),
    }


def _training_run(meta: Mapping[str, Any]) -> str:
    try:
        return str(json.loads(meta.get(KEY) or '{}').get('run', {}).get('id', ''))
    except (ValueError, AttributeError):
        return ''
