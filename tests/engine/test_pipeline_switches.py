"""MMDetection's hooks that change the pipeline of a running training do so with our sampler and our loops, too."""

from __future__ import annotations

import pytest

from deeplake_mmdet.errors import ConfigError
from tests.support.interruptions import LAST, variant
from tests.support.small_training import AUGMENT, LOAD, interrupted, iterations, train

pytestmark = pytest.mark.usefixtures('quick')
SWITCH = dict(
    type='PipelineSwitchHook', switch_epoch=1, switch_pipeline=[*LOAD, dict(type='Resize', scale=(24, 24)), AUGMENT[-1]]
)
END = dict(type='YOLOXModeSwitchHook', num_last_epochs=1)


@pytest.mark.parametrize(
    ('name', 'hook', 'iteration', 'workers'),
    [('plain', SWITCH, 3, 2), ('plain', SWITCH, 6, 0), ('mosaic', END, 3, 0), ('mosaic', END, 6, 2)],
)
def test_they_do_so_before_and_after_resuming(uninterrupted, few_images, tmp_path, name, hook, iteration, workers):
    options = dict(
        custom_hooks=[dict(type='BatchLog'), hook],
        train_dataloader__num_workers=workers,
        train_dataloader__persistent_workers=workers > 0,
    )
    whole = train(variant(name, few_images, tmp_path / 'whole', **options))
    unchanged, changed = iterations(uninterrupted(name)), iterations(whole)
    assert changed[:LAST] == unchanged[:LAST]
    assert changed[LAST]['ids'] == unchanged[LAST]['ids']
    assert changed[LAST]['pixels'] != unchanged[LAST]['pixels']
    train(interrupted(variant(name, few_images, tmp_path / 'work', **options), 'exception', iteration))
    assert train(variant(name, few_images, tmp_path / 'work', resume=True, **options)) == whole


def test_a_pipeline_that_is_switched_to_one_with_memories_is_refused(few_images, tmp_path):
    cached = [*LOAD, dict(type='CachedMosaic', img_scale=(40, 40)), *AUGMENT]
    hooks = [dict(type='BatchLog'), dict(SWITCH, switch_pipeline=cached)]
    with pytest.raises(ConfigError, match='got CachedMosaic, which mixes in what its worker process read before'):
        train(variant('plain', few_images, tmp_path, custom_hooks=hooks))
