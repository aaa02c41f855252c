"""Loader options: one precedence for every split, and no contradiction that PyTorch would meet later."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from deeplake_mmdet.config.short_form.expand import expand
from deeplake_mmdet.errors import ConfigError

RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
FASTER = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'


def loader(split: str, options: str = '', data: str = '', base: str = FASTER):
    dataset = f"dict(deeplake_path='a', deeplake_dataloader=dict({options}))"
    config = Config.fromstring(f'_base_ = {base!r}\ndata = dict({split}={dataset}, {data})\n', '.py')
    expand(config)
    return config[f'{split}_dataloader']


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize(
    ('options', 'per_split', 'per_gpu', 'expected'),
    [
        ('batch_size=7', 'samples_per_gpu=5', 'samples_per_gpu=3', 7),
        ('', 'samples_per_gpu=5', 'samples_per_gpu=3', 5),
        ('', '', 'samples_per_gpu=3', 3),
        ('', '', '', None),
    ],
)
def test_the_datasets_own_options_precede_the_splits_and_those_of_all(split, options, per_split, per_gpu, expected):
    stock = Config.fromstring(f'_base_ = {FASTER!r}', '.py')[f'{split}_dataloader'].batch_size
    data = f'{split}_dataloader=dict({per_split}), {per_gpu}'
    assert loader(split, options, data).batch_size == (expected or stock)


def test_every_option_arrives_where_pytorch_takes_it():
    options = (
        'shuffle=False, num_workers=3, persistent_workers=True, prefetch_factor=4, pin_memory=True, drop_last=True'
    )
    found = loader('train', options)
    assert found.sampler.shuffle is False
    assert (found.num_workers, found.persistent_workers, found.prefetch_factor, found.pin_memory) == (3, True, 4, True)
    assert found.batch_sampler.drop_last is True and 'drop_last' not in found


def test_without_a_batch_sampler_the_loader_drops():
    found = loader('train', 'drop_last=True', base=RTMDET)
    assert found.drop_last is True and found.batch_sampler is None


def test_no_workers_means_no_persistent_ones():
    assert loader('train', 'num_workers=0').persistent_workers is False


@pytest.mark.parametrize(
    ('options', 'data', 'message'),
    [
        ('batchsize=2', '', r"data.train.deeplake_dataloader.batchsize is no key .* 'batch_size'\?"),
        ('batch_size=0', '', r'deeplake_dataloader.batch_size expected a whole number of at least 1, but got 0'),
        ('batch_size=True', '', r'batch_size expected a whole number of at least 1, but got True'),
        ("num_workers='2'", '', r"num_workers expected a whole number of at least 0, but got '2'"),
        ('shuffle=1', '', r'shuffle expected True or False, but got 1'),
        (
            'num_workers=0, persistent_workers=True',
            '',
            r'persistent_workers is True, but there are no worker',
        ),
        ('num_workers=0, prefetch_factor=2', '', r'prefetch_factor is 2, but there are no worker processes'),
        ('batch_size=2, samples_per_gpu=3', '', r'samples_per_gpu is 3, but .*batch_size is 2, and both are for one'),
        ('', "samples_per_gpu='2'", r"data.samples_per_gpu expected a whole number of at least 1, but got '2'"),
        ('', 'samples_per_gpus=2', r"data.samples_per_gpus is no key .* 'samples_per_gpu'\?"),
    ],
)
def test_bad_options_are_refused(options, data, message):
    with pytest.raises(ConfigError, match=message):
        loader('train', options, data)


def test_datasets_of_one_list_cannot_ask_for_two_batch_sizes():
    text = f"""
_base_ = {FASTER!r}
data = dict(train=[dict(deeplake_path='a', deeplake_dataloader=dict(batch_size=1)),
                   dict(deeplake_path='b', deeplake_dataloader=dict(batch_size=2))])
"""
    with pytest.raises(ConfigError, match=r'data.train.1.*batch_size is 2, but data.train.0.*is 1, and both'):
        expand(Config.fromstring(text, '.py'))


def test_a_sampler_with_an_order_of_its_own_does_not_shuffle():
    base = 'mmdet::openimages/faster-rcnn_r50_fpn_32xb2-cas-1x_openimages.py'
    with pytest.raises(ConfigError, match=r'shuffle is True, but train_dataloader.sampler is ClassAwareSampler'):
        loader('train', 'shuffle=True', base=base)
