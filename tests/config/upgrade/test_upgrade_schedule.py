"""runner, optimizer, optimizer_config, fp16, lr_config and momentum_config over bases of both versions."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config

from deeplake_mmdet.config.upgrade.inheritance import inherit
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.schedule import upgrade_schedule

STEPS = dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)
RAMP = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500)
COSINE = dict(type='CosineAnnealingLR', eta_min=0.001, begin=0, T_max=12, end=12, by_epoch=True)


def base(**changes):
    """A stock config of MMDetection 3, as far as the schedule goes."""
    config = dict(
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=2),
        param_scheduler=[RAMP, STEPS],
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
            clip_grad=dict(max_norm=35, norm_type=2),
            paramwise_cfg=dict(norm_decay_mult=0),
        ),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
    )
    return copy.deepcopy({**config, **changes})


def upgraded(config):
    """The translated config and its notes, which must be without problems."""
    notes = Notes()
    upgrade_schedule(config, notes)
    notes.raise_problems()
    return config, notes


def problems(config):
    notes = Notes()
    upgrade_schedule(config, notes)
    return '\n'.join(notes.problems)


@pytest.mark.parametrize('config', [base(), {}, dict(model=dict(type='RTMDet')), base(param_scheduler=[])])
def test_a_config_of_mmdetection_3_is_left_alone_without_a_note(config):
    before = copy.deepcopy(config)
    _, notes = upgraded(config)
    assert config == before
    assert notes.lines == []


def test_a_config_of_mmdetection_2_without_bases_becomes_the_three_sections_of_mmdetection_3():
    config, notes = upgraded(
        dict(
            optimizer=dict(type='SGD', lr=0.02, momentum=0.9, paramwise_cfg=dict(bias_lr_mult=2.0)),
            optimizer_config=dict(grad_clip=dict(max_norm=35, norm_type=2)),
            lr_config=dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[8, 11]),
            runner=dict(type='EpochBasedRunner', max_epochs=12),
        )
    )
    assert config == dict(
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12),
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.02, momentum=0.9),
            paramwise_cfg=dict(bias_lr_mult=2.0),
            clip_grad=dict(max_norm=35, norm_type=2),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=501),
            dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1, by_epoch=True),
        ],
    )
    assert [line.split(' ')[0] for line in notes.lines] == ['runner', 'optimizer,', 'lr_config']
    assert notes.lines[-1].endswith('the same value at every iteration')


def test_an_mmengine_config_is_changed_in_place():
    config = Config(base(runner=dict(max_epochs=24)))
    upgraded(config)
    assert config.train_cfg == dict(type='EpochBasedTrainLoop', max_epochs=24, val_interval=2)
    assert 'runner' not in config


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_more_epochs_keep_the_bases_validation_interval():
    config, _ = upgraded(base(runner=dict(type='EpochBasedRunner', max_epochs=24)))
    assert config['train_cfg'] == dict(type='EpochBasedTrainLoop', max_epochs=24, val_interval=2)


def test_total_epochs_is_a_runner():
    config, notes = upgraded(base(total_epochs=36))
    assert config['train_cfg']['max_epochs'] == 36
    assert notes.lines == ['total_epochs -> train_cfg (EpochBasedTrainLoop, max_epochs=36)']


def test_a_loop_written_as_by_epoch_gets_no_type_beside_it():
    config, _ = upgraded(base(train_cfg=dict(by_epoch=True, max_epochs=12), runner=dict(max_epochs=3)))
    assert config['train_cfg'] == dict(by_epoch=True, max_epochs=3)


def test_iterations_are_counted_by_the_log_and_the_checkpoints_too():
    runner = dict(_delete_=True, type='IterBasedRunner', max_iters=90000)
    config, _ = upgraded(
        base(
            runner=runner,
            checkpoint_config=dict(interval=5000),
            lr_config=dict(_delete_=True, policy='step', step=[60000, 80000]),
        )
    )
    assert config['train_cfg'] == dict(type='IterBasedTrainLoop', max_iters=90000)
    assert config['log_processor']['by_epoch'] is False
    assert config['default_hooks']['checkpoint']['by_epoch'] is False
    assert config['param_scheduler'] == [dict(type='MultiStepLR', milestones=[60000, 80000], gamma=0.1, by_epoch=False)]


def test_an_interval_in_epochs_is_not_taken_for_one_in_iterations():
    config = base(runner=dict(type='IterBasedRunner', max_iters=90), lr_config=dict(_delete_=True, policy='fixed'))
    assert 'checkpoint_config.interval: the base saves every 1 epochs, but this runner counts iterations' in problems(
        config
    )


@pytest.mark.parametrize(
    ('runner', 'message'),
    [
        (
            dict(type='EpochBasedRunnerAmp', max_epochs=3),
            "runner: 'EpochBasedRunnerAmp' is a runner that MMDetection 3",
        ),
        (dict(type='EpochBasedRunner', max_epochs=3, meta=1), r"runner: has the keys \['meta'\]"),
        (dict(type='IterBasedRunner', max_epochs=3), 'runner: expected max_iters, but got'),
    ],
)
def test_an_unknown_runner_is_a_problem(runner, message):
    with pytest.raises(ValueError, match=message):
        upgraded(base(runner=runner))


def test_two_lengths_that_contradict_each_other_are_a_problem():
    assert 'total_epochs: is 12, but runner has max_epochs=24' in problems(
        dict(runner=dict(max_epochs=24), total_epochs=12)
    )


# --- the optimizer ----------------------------------------------------------------------------------------------------


def test_one_setting_of_the_optimizer_changes_only_itself():
    config, _ = upgraded(base(optimizer=dict(lr=0.001)))
    expected = base()['optim_wrapper']
    expected['optimizer']['lr'] = 0.001
    assert config['optim_wrapper'] == expected


def test_an_optimizer_that_deletes_the_bases_keeps_its_gradient_clipping_only():
    config, _ = upgraded(base(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4)))
    assert config['optim_wrapper'] == dict(
        type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4), clip_grad=dict(max_norm=35, norm_type=2)
    )


def test_settings_of_single_parameters_are_merged_with_the_bases():
    config, _ = upgraded(base(optimizer=dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))))
    assert config['optim_wrapper']['paramwise_cfg'] == dict(
        norm_decay_mult=0, custom_keys=dict(backbone=dict(lr_mult=0.1))
    )


@pytest.mark.parametrize(
    ('optimizer_config', 'clip_grad'),
    [
        (dict(grad_clip=None), None),
        (dict(grad_clip=dict(max_norm=1)), dict(max_norm=1, norm_type=2)),
        (dict(_delete_=True, grad_clip=dict(max_norm=1)), dict(max_norm=1)),
        (dict(_delete_=True), None),
        (dict(), dict(max_norm=35, norm_type=2)),
    ],
)
def test_gradient_clipping_is_inherited_as_in_mmdetection_2(optimizer_config, clip_grad):
    config, _ = upgraded(base(optimizer_config=optimizer_config))
    assert config['optim_wrapper'].get('clip_grad') == clip_grad


def test_accumulated_gradients_are_counted_by_the_wrapper():
    given = dict(type='GradientCumulativeOptimizerHook', cumulative_iters=4)
    config, notes = upgraded(base(optimizer_config=given))
    assert config['optim_wrapper']['accumulative_counts'] == 4
    assert 'accumulative_counts=4' in notes.lines[0]


@pytest.mark.parametrize(
    ('changes', 'scale'),
    [
        (dict(fp16=dict(loss_scale=512.0)), 512.0),
        (dict(fp16=dict(loss_scale=512)), 512.0),
        (dict(fp16=dict()), 512.0),
        (dict(fp16=dict(loss_scale='dynamic')), 'dynamic'),
        (dict(fp16=dict(loss_scale=dict(init_scale=512))), dict(init_scale=512)),
        (dict(optimizer_config=dict(type='Fp16OptimizerHook', loss_scale=128.0, distributed=False)), 128.0),
    ],
)
def test_half_precision_is_a_wrapper_with_the_same_scale(changes, scale):
    config, _ = upgraded(base(**changes))
    assert config['optim_wrapper']['type'] == 'AmpOptimWrapper'
    assert config['optim_wrapper']['loss_scale'] == scale
    assert type(config['optim_wrapper']['loss_scale']) is type(scale)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(optimizer=dict(_delete_=True, generator=dict(type='Adam'))),
            'optimizer: expected one optimizer with a type',
        ),
        (dict(optimizer=dict(constructor='MyConstructor')), "optimizer.constructor: 'MyConstructor' is not registered"),
        (
            dict(optimizer_config=dict(type='DistOptimizerHook')),
            "optimizer_config: type 'DistOptimizerHook' is unknown",
        ),
        (dict(optimizer_config=dict(update_interval=2)), r"optimizer_config: the keys \['update_interval'\]"),
        (dict(optimizer_config=dict(detect_anomalous_params=True)), 'model_wrapper_cfg=dict'),
        (dict(fp16=dict(scale=2)), r"fp16: has unknown keys \['scale'\]"),
    ],
)
def test_what_no_wrapper_does_is_a_problem(changes, message):
    with pytest.raises(ValueError, match=message):
        upgraded(base(**changes))


def test_constructors_have_their_new_names():
    old = dict(constructor='DefaultOptimizerConstructor')
    assert upgraded(base(optimizer=old))[0]['optim_wrapper']['constructor'] == 'DefaultOptimWrapperConstructor'
    same = dict(constructor='LearningRateDecayOptimizerConstructor')
    assert upgraded(base(optimizer=same))[0]['optim_wrapper']['constructor'] == same['constructor']


# --- the learning rate over a base of MMDetection 3 -------------------------------------------------------------------


def test_steps_alone_keep_the_policy_and_the_warm_up_of_the_base():
    config, _ = upgraded(base(lr_config=dict(step=[16, 22]), runner=dict(max_epochs=24)))
    assert config['param_scheduler'] == [
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=501),
        dict(type='MultiStepLR', milestones=[16, 22], gamma=0.1, by_epoch=True),
    ]


def test_the_same_policy_keeps_the_warm_up_of_the_base_and_a_deleting_one_does_not():
    kept, _ = upgraded(base(lr_config=dict(policy='step', step=[3])))
    assert [one['type'] for one in kept['param_scheduler']] == ['LinearLR', 'MultiStepLR']
    deleted, _ = upgraded(base(lr_config=dict(_delete_=True, policy='step', step=[3])))
    assert [one['type'] for one in deleted['param_scheduler']] == ['MultiStepLR']


def test_another_policy_replaces_the_bases_schedule():
    config, _ = upgraded(base(lr_config=dict(policy='CosineAnnealing', min_lr=0)))
    assert config['param_scheduler'] == [
        dict(type='CosineAnnealingLR', eta_min=0, T_max=12, end=12, begin=0, by_epoch=True)
    ]


@pytest.mark.parametrize('lr_config', [None, dict(_delete_=True, policy='fixed')])
def test_no_schedule_is_no_param_scheduler(lr_config):
    config, _ = upgraded(base(lr_config=lr_config))
    assert 'param_scheduler' not in config


def test_the_warm_up_alone_can_be_changed_or_left_out():
    longer, _ = upgraded(base(lr_config=dict(warmup_iters=1000)))
    assert longer['param_scheduler'][0] == dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001)
    without, _ = upgraded(base(lr_config=dict(warmup=None)))
    assert [one['type'] for one in without['param_scheduler']] == ['MultiStepLR']


def test_a_cosine_of_the_base_is_stretched_with_the_training():
    config, notes = upgraded(base(param_scheduler=[RAMP, COSINE], runner=dict(max_epochs=50)))
    assert config['param_scheduler'][1] == dict(
        type='CosineAnnealingLR', eta_min=0.001, T_max=50, end=50, begin=0, by_epoch=True
    )
    assert notes.lines[1].startswith("the base's schedule (")


def test_yoloxs_schedule_is_stretched_between_its_warm_up_and_its_last_epochs():
    config, _ = upgraded({**_yolox(), 'runner': dict(max_epochs=50)})
    assert [(one['type'], one['begin'], one['end']) for one in config['param_scheduler']] == [
        ('mmdet.QuadraticWarmupLR', 0, 5),
        ('CosineAnnealingLR', 5, 35),
    ]


def _yolox():
    whole = dict(by_epoch=True, convert_to_iter_based=True)
    return base(
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=300),
        param_scheduler=[
            dict(type='mmdet.QuadraticWarmupLR', begin=0, end=5, **whole),
            dict(type='CosineAnnealingLR', eta_min=0.0005, begin=5, T_max=285, end=285, **whole),
            dict(type='ConstantLR', by_epoch=True, factor=1, begin=285, end=300),
        ],
    )


LATE = dict(type='CosineAnnealingLR', eta_min=0.001, begin=6, T_max=6, end=12, by_epoch=True)


def test_a_schedule_that_the_old_words_cannot_say_is_neither_stretched_nor_changed_in_part():
    config = base(param_scheduler=[RAMP, LATE], runner=dict(max_epochs=50))
    assert "runner: trains for 50 epochs, but the base's param_scheduler is made for 12 epochs" in problems(config)
    config = base(param_scheduler=[RAMP, LATE], lr_config=dict(step=[3]))
    assert "lr_config: changes only ['step'], but the base has no schedule of MMDetection 2" in problems(config)
    assert "lr_config: changes only ['step']" in problems(dict(lr_config=dict(step=[3])))


def test_a_full_policy_replaces_a_schedule_that_the_old_words_cannot_say():
    config, _ = upgraded(
        base(param_scheduler=[RAMP, LATE], runner=dict(max_epochs=50), lr_config=dict(policy='step', step=[30]))
    )
    assert config['param_scheduler'] == [dict(type='MultiStepLR', milestones=[30], gamma=0.1, by_epoch=True)]


def test_a_policy_without_counterpart_is_a_problem_of_lr_config():
    assert "lr_config.policy: 'inv' has no scheduler" in problems(base(lr_config=dict(_delete_=True, policy='inv')))


def test_a_lowest_rate_beside_rates_of_single_parameters_is_a_stated_difference():
    paramwise = dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
    lr_config = dict(_delete_=True, policy='step', step=[3], min_lr=0.01)
    _, notes = upgraded(base(lr_config=lr_config, optimizer=dict(paramwise_cfg=paramwise)))
    assert notes.lines[-1].endswith('parameters with an lr_mult end at that multiple of min_lr')
    _, notes = upgraded(base(lr_config=lr_config))
    assert notes.lines[-1].endswith('the same value at every iteration')


# --- momentum ---------------------------------------------------------------------------------------------------------


def test_a_momentum_policy_is_added_beside_the_learning_rate():
    config, _ = upgraded(base(momentum_config=dict(policy='step', step=[4])))
    assert config['param_scheduler'] == [
        RAMP,
        STEPS,
        dict(type='MultiStepMomentum', milestones=[4], gamma=0.5, by_epoch=True),
    ]
    config, _ = upgraded(base(momentum_config=dict(policy='CosineAnnealing', min_momentum_ratio=0.5)))
    assert config['param_scheduler'][-1] == dict(
        type='CosineAnnealingMomentum', eta_min_ratio=0.5, T_max=12, end=12, begin=0, by_epoch=True
    )


@pytest.mark.parametrize(
    'momentum_config',
    [
        dict(policy='cyclic', target_ratio=(0.85, 1)),
        dict(policy='step', step=[4], min_momentum=0.1),
        dict(policy='step', step=[4], warmup='linear', warmup_iters=9),
    ],
)
def test_a_momentum_policy_without_counterpart_is_a_problem(momentum_config):
    assert "momentum_config.policy: expected 'step' without min_momentum" in problems(
        base(momentum_config=momentum_config)
    )


def test_inheriting_changes_neither_side():
    old, new = dict(a=dict(b=1, c=2), d=3), dict(a=dict(b=4), e=dict(_delete_=True, f=5))
    assert inherit(old, new) == dict(a=dict(b=4, c=2), d=3, e=dict(f=5))
    assert old == dict(a=dict(b=1, c=2), d=3)
    assert new['e'] == dict(_delete_=True, f=5)
    assert inherit(old, dict(_delete_=True, a=1)) == dict(a=1)
