"""The short form asks for deterministic augmentations, and shuffles with our sampler as with any other."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from deeplake_mmdet.config.short_form.expand import expand
from deeplake_mmdet.errors import ConfigError

BASE = "_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n"


def sampler(options: str, split: str = 'train', text: str = ''):
    data = f"data = dict({split}=dict(deeplake_path='a', deeplake_dataloader=dict({options})))\n"
    config = Config.fromstring(BASE + text + data, '.py')
    expand(config)
    found = config[f'{split}_dataloader'].sampler
    return {key: value for key, value in found.items() if key != '_scope_'}


def test_deterministic_augmentations_bring_the_sampler_that_makes_them_so():
    expected = dict(type='DeepLakeSampler', shuffle=False, deterministic_augmentation=True)
    assert sampler('deterministic_augmentation=True, shuffle=False') == expected
    assert sampler('shuffle=False') == dict(type='DefaultSampler', shuffle=False)


def test_our_sampler_in_a_base_config_can_be_told_to_shuffle():
    ours = "train_dataloader = dict(sampler=dict(type='DeepLakeSampler'))\n"
    assert sampler('shuffle=False', text=ours) == dict(type='DeepLakeSampler', shuffle=False)


@pytest.mark.parametrize(
    ('options', 'split', 'text', 'message'),
    [
        ('deterministic_augmentation=1', 'train', '', r'deterministic_augmentation expected True or False, but got 1'),
        ('deterministic_augmentation=True', 'val', '', r'is for training data, but these are for val. Remove it'),
        (
            'deterministic_augmentation=True',
            'train',
            "train_dataloader = dict(sampler=dict(_delete_=True, type='ClassAwareSampler'))\n",
            r'train_dataloader.sampler is ClassAwareSampler, which cannot do that. Remove the option, or set',
        ),
    ],
)
def test_what_cannot_be_deterministic_is_refused(options, split, text, message):
    with pytest.raises(ConfigError, match=message):
        sampler(options, split, text)
