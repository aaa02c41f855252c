"""Checkpoints, logs, processes, seeds, resuming and hooks of MMDetection 2."""

from __future__ import annotations

import copy

import pytest

from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.config.upgrade.runtime import upgrade_runtime

EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=12)
MINE = dict(type='MyOwnHook')
ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=900)


def base(**changes):
    """The runtime of a stock config of MMDetection 3."""
    backends = [dict(type='LocalVisBackend')]
    config = dict(
        default_scope='mmdet',
        train_cfg=EPOCHS,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=50),
            checkpoint=dict(type='CheckpointHook', interval=1),
            visualization=dict(type='DetVisualizationHook'),
        ),
        env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0)),
        vis_backends=backends,
        visualizer=dict(type='DetLocalVisualizer', vis_backends=backends, name='visualizer'),
        log_level='INFO',
        load_from=None,
        resume=False,
        custom_hooks=[dict(type='NumClassCheckHook')],
    )
    return copy.deepcopy({**config, **changes})


def run(config):
    """The config and its notes."""
    notes = Notes()
    upgrade_runtime(config, notes)
    return config, notes


def upgraded(config):
    config, notes = run(config)
    notes.raise_problems()
    return config


@pytest.mark.parametrize(
    'config', [base(), {}, base(cudnn_benchmark=True), base(find_unused_parameters=True), base(custom_hooks=[MINE])]
)
def test_a_config_of_mmdetection_3_is_left_alone_without_a_note(config):
    before = copy.deepcopy(config)
    _, notes = run(config)
    assert config == before
    assert notes.lines == notes.problems == []


def test_the_default_runtime_of_mmdetection_2_is_said_in_the_words_of_mmdetection_3():
    config, notes = run(
        dict(
            checkpoint_config=dict(interval=1),
            log_config=dict(interval=50, hooks=[dict(type='TextLoggerHook')]),
            custom_hooks=[dict(type='NumClassCheckHook')],
            dist_params=dict(backend='nccl'),
            log_level='INFO',
            load_from=None,
            resume_from=None,
            workflow=[('train', 1)],
            opencv_num_threads=0,
            mp_start_method='fork',
        )
    )
    assert notes.problems == []
    assert config == dict(
        default_scope='mmdet',
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1), logger=dict(type='LoggerHook', interval=50)
        ),
        visualizer=dict(type='DetLocalVisualizer', name='visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        custom_hooks=[dict(type='NumClassCheckHook')],
        env_cfg=dict(dist_cfg=dict(backend='nccl'), mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0)),
        log_level='INFO',
        load_from=None,
        resume=False,
    )
    assert len(notes.lines) == len(set(notes.lines)) == 9


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_checkpoints_keep_their_options_and_count_in_the_unit_of_the_loop():
    given = dict(interval=5, max_keep_ckpts=3, save_optimizer=False, out_dir='elsewhere', meta=dict(a=1))
    config, notes = run(base(checkpoint_config=given, train_cfg=ITERATIONS))
    assert config['default_hooks']['checkpoint'] == dict(
        type='CheckpointHook', interval=5, max_keep_ckpts=3, save_optimizer=False, out_dir='elsewhere', by_epoch=False
    )
    assert 'checkpoint_config.meta dropped: MMEngine writes classes, config and versions by itself' in notes.lines
    epochs = upgraded(base(checkpoint_config=dict(interval=5)))
    assert epochs['default_hooks']['checkpoint'] == dict(type='CheckpointHook', interval=5)


def test_no_checkpoints_stay_no_checkpoints():
    assert upgraded(base(checkpoint_config=None))['default_hooks']['checkpoint'] is None


def test_synchronised_buffers_are_a_hook():
    config = upgraded(base(checkpoint_config=dict(interval=1, sync_buffer=True)))
    assert config['custom_hooks'][-1] == dict(type='SyncBuffersHook')


def test_an_unknown_option_of_checkpoints_is_a_problem():
    _, notes = run(base(checkpoint_config=dict(intervall=1)))
    assert notes.problems == [
        'checkpoint_config.intervall: is unknown to MMDetection 3. Look at default_hooks.checkpoint.'
    ]


# --- logs -------------------------------------------------------------------------------------------------------------


def test_an_interval_alone_changes_the_logger_only():
    config = upgraded(base(log_config=dict(interval=10)))
    assert config['default_hooks']['logger'] == dict(type='LoggerHook', interval=10)
    assert config['visualizer'] == base()['visualizer']


def test_loggers_become_backends_of_the_visualizer_with_their_options():
    hooks = [
        dict(type='TextLoggerHook', interval=5, by_epoch=False),
        dict(type='TensorboardLoggerHook', log_dir='tb'),
        dict(type='WandbLoggerHook', init_kwargs=dict(project='cells'), with_step=False),
        dict(type='MlflowLoggerHook', exp_name='cells', log_model=False),
    ]
    config, notes = run(base(log_config=dict(interval=10, hooks=hooks)))
    backends = [
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend', save_dir='tb'),
        dict(type='WandbVisBackend', init_kwargs=dict(project='cells')),
        dict(type='MLflowVisBackend', exp_name='cells'),
    ]
    assert config['visualizer']['vis_backends'] == config['vis_backends'] == backends
    assert config['visualizer']['type'] == 'DetLocalVisualizer'
    assert config['default_hooks']['logger']['interval'] == 5
    assert notes.problems == []
    assert 'log_config.WandbLoggerHook.with_step dropped: the step is always logged' in notes.lines


def test_the_images_of_the_wandb_hook_are_drawn_by_the_visualization_hook():
    hook = dict(type='MMDetWandbHook', init_kwargs=dict(project='p'), num_eval_images=10, bbox_score_thr=0.5)
    config = upgraded(base(log_config=dict(interval=10, hooks=[hook])))
    assert config['default_hooks']['visualization'] == dict(type='DetVisualizationHook', draw=True, score_thr=0.5)
    none = upgraded(base(log_config=dict(hooks=[{**hook, 'num_eval_images': 0}])))
    assert none['default_hooks']['visualization'] == dict(type='DetVisualizationHook')


@pytest.mark.parametrize(
    ('hook', 'message'),
    [
        (dict(type='PaviLoggerHook'), 'log_config.PaviLoggerHook: has no backend in MMDetection 3'),
        (dict(type='MMDetWandbHook', log_checkpoint=True), 'MMDetWandbHook.log_checkpoint: MMDetection 3 uploads no'),
        (dict(type='TextLoggerHook', colour=1), 'log_config.TextLoggerHook.colour: is unknown'),
        (dict(type='WandbLoggerHook', colour=1), 'log_config.WandbLoggerHook.colour: is unknown'),
    ],
)
def test_a_logger_without_counterpart_is_a_problem(hook, message):
    with pytest.raises(ValueError, match=message):
        upgraded(base(log_config=dict(interval=10, hooks=[hook])))


# --- processes, seeds, resuming ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('old', 'section', 'new'),
    [
        (dict(dist_params=dict(backend='gloo')), 'env_cfg', dict(dist_cfg=dict(backend='gloo'))),
        (dict(opencv_num_threads=4), 'env_cfg', dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=4))),
        (dict(mp_start_method='spawn'), 'env_cfg', dict(mp_cfg=dict(mp_start_method='spawn', opencv_num_threads=0))),
        (dict(cudnn_benchmark=True, seed=None), 'env_cfg', dict(cudnn_benchmark=True)),
        (dict(seed=3, deterministic=True), 'randomness', dict(seed=3, deterministic=True)),
        (dict(seed=3, diff_seed=True), 'randomness', dict(seed=3, diff_rank_seed=True)),
    ],
)
def test_settings_of_processes_and_seeds_move(old, section, new):
    config = upgraded(base(**old))
    assert config[section] == {**base().get(section, {}), **new}
    assert not set(old) & set(config)


@pytest.mark.parametrize(
    ('old', 'load_from', 'resume'),
    [
        (dict(resume_from='a.pth'), 'a.pth', True),
        (dict(resume_from='a.pth', load_from='b.pth'), 'a.pth', True),
        (dict(resume_from=None, load_from='b.pth'), 'b.pth', False),
        (dict(resume_from=None, auto_resume=True), None, True),
        (dict(auto_resume=False), None, False),
    ],
)
def test_what_is_resumed_or_loaded_stays(old, load_from, resume):
    config = upgraded(base(**old))
    assert (config['load_from'], config['resume']) == (load_from, resume)


def test_resuming_the_latest_beside_a_file_to_load_is_a_problem():
    with pytest.raises(ValueError, match=r'auto_resume: beside load_from, resume=True would resume from that file'):
        upgraded(base(auto_resume=True, load_from='b.pth'))


def test_the_gpus_of_the_old_scripts_are_dropped_but_gpu_ids_stay_for_the_launcher():
    config, notes = run(base(gpus=2, device='cuda', gpu_ids=[0, 1]))
    assert config == base(gpu_ids=[0, 1])
    assert [line.split(' ')[0] for line in notes.lines] == ['gpus', 'device']


@pytest.mark.parametrize(
    ('old', 'message'),
    [
        (dict(workflow=[('train', 1), ('val', 1)]), 'workflow: .* computes losses on the validation data'),
        (dict(profiler=dict(by_epoch=False)), r'profiler: is a hook'),
        (dict(plugin_dir='mine'), r'plugin_dir: is no key of MMDetection 3. Write custom_imports'),
    ],
)
def test_a_key_without_counterpart_is_a_problem(old, message):
    with pytest.raises(ValueError, match=message):
        upgraded(base(**old))


# --- custom hooks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (
            dict(type='ExpMomentumEMAHook', resume_from=None, momentum=0.0001, priority=49),
            dict(type='EMAHook', ema_type='ExpMomentumEMA', update_buffers=True, momentum=0.0001, priority=49),
        ),
        (
            dict(type='ExpMomentumEMAHook', total_iter=500, skip_buffers=True, interval=2),
            dict(type='EMAHook', ema_type='ExpMomentumEMA', update_buffers=False, gamma=500, interval=2),
        ),
        (
            dict(type='SyncNormHook', num_last_epochs=15, interval=10, priority=48),
            dict(type='SyncNormHook', priority=48),
        ),
        (dict(type='YOLOXModeSwitchHook', num_last_epochs=15), dict(type='YOLOXModeSwitchHook', num_last_epochs=15)),
        (dict(type='CheckInvalidLossHook', interval=50), dict(type='CheckInvalidLossHook', interval=50)),
        (dict(type='EMAHook', momentum=0.0002), dict(type='EMAHook', momentum=0.0002)),
    ],
)
def test_hooks_do_the_same_under_their_new_names(old, new):
    assert upgraded(base(custom_hooks=[old]))['custom_hooks'] == [new]


def test_a_single_hook_becomes_a_list_of_one():
    assert upgraded(base(custom_hooks=dict(type='NumClassCheckHook')))['custom_hooks'] == [
        dict(type='NumClassCheckHook')
    ]


def test_the_averaging_of_the_translated_hook_is_mmdetection_2s():
    """mmdet 2.28.2: ema += momentum(iteration) * (weight - ema); MMEngine takes the first weights as they are."""
    import math

    import mmdet.models  # noqa: F401  (registers the averaging)
    import torch
    from mmdet.registry import MODELS

    hook = dict(type='ExpMomentumEMAHook', momentum=0.01, total_iter=5)
    new = upgraded(base(custom_hooks=[hook]))['custom_hooks'][0]
    model = torch.nn.Linear(1, 1, bias=False)
    options = {key: value for key, value in new.items() if key not in ('type', 'ema_type')}
    average = MODELS.build(dict(type=f'mmdet.{new["ema_type"]}', **options), default_args=dict(model=model))
    expected = 0.0
    for iteration in range(6):
        model.weight.data.fill_(float(iteration))
        average.update_parameters(model)
        momentum = 0.99 * math.exp(-(1 + iteration) / 5) + 0.01
        expected += momentum * (iteration - expected)
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ('hook', 'message'),
    [
        (dict(type='LinearMomentumEMAHook'), "LinearMomentumEMAHook: MMEngine's averaging warms up in another way"),
        (dict(type='EMAHook', warm_up=100), 'EMAHook: warm_up and resume_from are no options'),
        (dict(type='ExpMomentumEMAHook', resume_from='a.pth'), 'ExpMomentumEMAHook.resume_from: has no counterpart'),
        (dict(type='SyncRandomSizeHook', ratio_range=(10, 20)), r'random_size_range=\(320, 640\)'),
        (dict(type='YOLOXLrUpdaterHook'), 'YOLOXLrUpdaterHook: is no hook of MMDetection 3. Write lr_config'),
        (dict(type='Fp16OptimizerHook'), 'Fp16OptimizerHook: is no hook of MMDetection 3. Write optimizer_config'),
        (dict(type='WandbLoggerHook'), 'WandbLoggerHook: is no hook of MMDetection 3. Write log_config.hooks'),
        (dict(type='MMDetWandbHook'), 'MMDetWandbHook: is no hook of MMDetection 3. Write log_config.hooks'),
    ],
)
def test_a_hook_without_counterpart_is_a_problem(hook, message):
    with pytest.raises(ValueError, match=message):
        upgraded(base(custom_hooks=[hook]))


def test_an_unregistered_hook_is_a_problem_in_a_config_of_mmdetection_2_only():
    with pytest.raises(ValueError, match=r'custom_hooks.MyOwnHook: is not registered in MMDetection 3'):
        upgraded(base(dist_params=dict(backend='gloo'), custom_hooks=[MINE]))
    assert upgraded(base(dist_params=dict(backend='gloo'), custom_hooks=[dict(type='RuntimeInfoHook')]))
