"""The learning rate of a translated schedule, run by MMEngine, against the tables that mmcv's own hooks printed."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import PARAM_SCHEDULERS
from mmengine.optim import OptimWrapper

from deeplake_mmdet.config.upgrade.loops import Loop
from deeplake_mmdet.config.upgrade.lr_span import NoCounterpart
from deeplake_mmdet.config.upgrade.schedule import translate
from tests.config.upgrade.mmcv_curves import BASE, CLOSE, CURVES, EPOCH_LENGTH, EPOCHS, ITERATIONS


def rates(schedulers: list[dict], loop: Loop, base: float = BASE) -> list[float]:
    """The learning rate at each iteration, with the schedulers built and stepped as MMEngine's Runner does."""
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base))
    total = loop.length * EPOCH_LENGTH if loop.by_epoch else loop.length
    ends = {True: loop.length if loop.by_epoch else 1, False: total}
    built = [
        PARAM_SCHEDULERS.build(
            {'end': ends[config.get('by_epoch', True)], **config},
            default_args=dict(optimizer=optimizer, epoch_length=EPOCH_LENGTH),
        )
        for config in schedulers
    ]
    found = []
    for iteration in range(1, total + 1):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for by_epoch in (False, True):
            if not by_epoch or (loop.by_epoch and iteration % EPOCH_LENGTH == 0):
                for scheduler in built:
                    if scheduler.by_epoch == by_epoch:
                        scheduler.step()
    return found


def of(curve: str) -> list[float]:
    return [float(value) for value in curve.split()]


@pytest.mark.parametrize('name', CURVES)
def test_the_learning_rate_is_mmcvs_at_every_iteration(name):
    given, loop, curve = CURVES[name]
    schedule = translate(given, loop, BASE)
    assert rates(schedule.schedulers, loop) == pytest.approx(of(curve), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize('name', [name for name in CURVES if 'first epoch' not in name])
def test_no_difference_is_stated_where_there_is_none(name):
    given, loop, _ = CURVES[name]
    assert translate(given, loop, BASE).differences == []


@pytest.mark.parametrize('name', CLOSE)
def test_a_difference_is_stated_where_there_is_one(name):
    given, loop, curve = CLOSE[name]
    schedule = translate(given, loop, BASE)
    assert rates(schedule.schedulers, loop) != pytest.approx(of(curve), rel=1e-3)
    assert schedule.differences


@pytest.mark.parametrize('name', ['cosine by iteration with min_lr', 'poly by iteration with min_lr'])
def test_a_policy_with_a_lowest_value_is_mmcvs_from_the_end_of_the_warm_up_on(name):
    given, loop, curve = CLOSE[name]
    schedule = translate(given, loop, BASE)
    found, expected, end = rates(schedule.schedulers, loop), of(curve), given['warmup_iters']
    assert found[end:] == pytest.approx(expected[end:], rel=1e-7)
    (difference,) = schedule.differences
    stated = float(difference.split()[2])
    assert difference == f'up to {stated:.1e} of its value lower during the warm-up, identical afterwards'
    lower = [1 - ours / theirs for ours, theirs in zip(found[:end], expected[:end], strict=True)]
    assert min(lower) >= 0 and 0.5 * stated < max(lower) <= stated * 1.05


@pytest.mark.parametrize(
    ('name', 'most'),
    [
        ('linear warm-up by epoch', 0.9 * BASE / EPOCH_LENGTH),
        ('poly by iteration of an epoch loop', BASE / 12),
        ('cosine with min_lr over a warm-up of two epochs', 0.05 * BASE),
    ],
)
def test_what_cannot_be_identical_is_close(name, most):
    given, loop, curve = CLOSE[name]
    found = rates(translate(given, loop, BASE).schedulers, loop)
    assert max(abs(a - b) for a, b in zip(found, of(curve), strict=True)) <= most * (1 + 1e-6)


def test_a_runner_trains_with_these_learning_rates(tmp_path):
    from mmengine.hooks import Hook
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, inputs, mode='loss'):
            return dict(loss=self.weight.sum() + 0 * inputs.sum())

    class Seen(Hook):
        rates: list[float] = []

        def before_train_iter(self, runner, *args, **kwargs):
            self.rates.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])

    given, loop, curve = CURVES['step by epoch after linear warm-up']
    seen = Seen()
    runner = Runner(
        Model(),
        str(tmp_path),
        train_dataloader=dict(dataset=[torch.zeros(1)] * EPOCH_LENGTH, batch_size=1, num_workers=0,
                              sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(type=loop.type, max_epochs=loop.length),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=BASE)),
        param_scheduler=translate(given, loop, BASE).schedulers,
        default_hooks=dict(checkpoint=None, logger=None),
        custom_hooks=[seen],
        experiment_name='rates',
        log_level='ERROR',
    )  # fmt: skip
    runner.train()
    assert seen.rates == pytest.approx(of(curve), rel=1e-7)


@pytest.mark.parametrize(
    ('given', 'loop', 'key', 'why'),
    [
        (dict(policy='inv', gamma=1), EPOCHS, 'policy', "'inv' has no scheduler of its own"),
        (dict(policy='cyclic'), ITERATIONS, 'policy', "'cyclic' has no scheduler of its own"),
        (dict(policy='stpe'), EPOCHS, 'policy', "'stpe' is unknown. The policies are Fixed, Step"),
        (dict(policy='step', steps=[3]), EPOCHS, 'steps', "Did you mean 'step'"),
        (dict(policy='step'), EPOCHS, 'step', 'expected a list of positive ints or one, but got None'),
        (dict(policy='step', step=[8.5]), EPOCHS, 'step', r'but got \[8.5\]'),
        (dict(policy='step', step=[8], min_lr=1.0), EPOCHS, 'min_lr', 'a value below the learning rate'),
        (dict(policy='step', step=[8], min_lr=-1.0), EPOCHS, 'min_lr', 'a positive value'),
        (dict(policy='exp'), EPOCHS, 'gamma', 'needs it'),
        (dict(policy='CosineAnnealing'), EPOCHS, 'min_lr', 'expected one of min_lr and min_lr_ratio'),
        (dict(policy='CosineAnnealing', min_lr=0), Loop(True, None), 'policy', 'how long training runs'),
        (dict(policy='step', step=[8], by_epoch=True), ITERATIONS, 'by_epoch', 'must be False'),
        (dict(policy='step', step=[8], warmup='cosine'), EPOCHS, 'warmup', "but got 'cosine'"),
        (dict(policy='step', step=[8], warmup='linear'), EPOCHS, 'warmup', 'but got 0 and 0.1'),
        (
            dict(policy='step', step=[8], warmup='exp', warmup_iters=2, warmup_by_epoch=True),
            EPOCHS,
            'warmup_by_epoch',
            'no counterpart in epochs',
        ),
        (dict(policy='CosineRestart', periods=[1, 3], min_lr=0), EPOCHS, 'periods', 'as many as restart_weights'),
        (
            dict(policy='CosineRestart', periods=[4], min_lr=0.1, warmup='linear', warmup_iters=2),
            EPOCHS,
            'policy',
            'other values under a warm-up',
        ),
        (
            dict(policy='CosineRestart', periods=[4], min_lr=0, warmup='linear', warmup_iters=2),
            EPOCHS,
            'warmup',
            'must end within the first period',
        ),
        (dict(policy='OneCycle', max_lr=1, warmup='linear', warmup_iters=2), EPOCHS, 'policy', 'max_lr and no warmup'),
        (dict(policy='YOLOX', min_lr=0, num_last_epochs=1), EPOCHS, 'policy', 'as the stock configs have it'),
        (
            {**CURVES['YOLOX'][0], 'num_last_epochs': 3},
            EPOCHS,
            'num_last_epochs',
            'leave nothing of 4 epochs',
        ),
    ],
)
def test_what_no_scheduler_does_is_refused_by_its_key(given, loop, key, why):
    with pytest.raises(NoCounterpart, match=why) as error:
        translate(given, loop, BASE)
    assert error.value.key == key


def test_a_lowest_step_needs_the_optimizers_learning_rate():
    with pytest.raises(NoCounterpart, match='Add optimizer'):
        translate(dict(policy='step', step=[8], min_lr=0.1), EPOCHS, None)
