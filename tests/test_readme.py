"""The configs that the documentation shows work as they are shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from deeplake_mmdet.convert import make_demo
from deeplake_mmdet.engine.num_classes import head_keys
from deeplake_mmdet.engine.prepare import prepare

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def demo(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('data') / 'demo'
    make_demo(path, train=6, val=3)
    return str(path)


def test_the_first_config_of_the_readme_is_prepared_as_it_says(tmp_path, demo):
    text = re.search(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.S).group(1)
    (tmp_path / 'config.py').write_text(text.replace('s3://bucket/blood-cells', demo))
    config = Config.fromfile(tmp_path / 'config.py')
    prepare(config)
    assert config.model.roi_head.bbox_head.num_classes == 5
    assert config.train_dataloader.dataset.type == 'DeepLakeDataset'
    assert config.train_dataloader.dataset.pipeline[-1].type == 'PackDetInputs'
    assert config.train_dataloader.batch_size == 2  # of the base config


# Those of configs/zoo are in the short form, and tests/integration runs them.
LEAVES = sorted(path for path in (ROOT / 'configs').glob('[!_]*/*.py') if path.parent.name != 'zoo')


@pytest.mark.parametrize(('number', 'wrappers'), [(0, ['MultiImageMixDataset']), (1, [])], ids=['short', 'long'])
def test_the_configs_of_the_configuration_page_are_prepared(tmp_path, demo, number, wrappers):
    text = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'configuration.md').read_text(), re.S)[number]
    (tmp_path / 'config.py').write_text(re.sub(r's3://bucket/[a-z-]+', demo, text))
    config = Config.fromfile(tmp_path / 'config.py')
    prepare(config)
    dataset, around = config.train_dataloader.dataset, []
    while dataset.type != 'DeepLakeDataset':
        around.append(dataset.type)
        dataset = dataset.dataset
    assert around == wrappers
    assert (dataset.deeplake_path, dataset.deeplake_view_id) == (demo, 'train')
    assert config.val_evaluator.type == config.test_evaluator.type == 'DeepLakeCocoMetric'


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_every_leaf_config_is_short_and_prepares(tmp_path, demo, path):
    assert len(path.read_text().splitlines()) < 10
    config = Config.fromfile(path)
    for split in ('train', 'val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        dataset.deeplake_path, dataset.deeplake_view_id = demo, 'train'
    config.work_dir = str(tmp_path)
    prepare(config)
    assert {node[name] for _, node, name in head_keys(config.model)} == {5}
