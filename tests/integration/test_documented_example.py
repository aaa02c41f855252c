"""The example of Deep Lake's documentation, as it stands there, over a dataset of format 3 and its copy in format 4."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.convert import convert_v3

HERE = Path(__file__).parent
ARCHIVE = HERE.parent / 'format3' / 'data' / 'example.tar.xz'
# There is no network for the pretrained backbone, and one epoch is two iterations.
OPTIONS = [
    'model.backbone.init_cfg=None',
    'train_cfg.max_epochs=1',
    'randomness.seed=1',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint=None',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
]
SMALL = [
    'train_dataloader.dataset.pipeline.3.scale=[(64,64),(96,96)]',
    'val_dataloader.dataset.pipeline.1.scale=(96,96)',
    'model.test_cfg.score_thr=0.0',
    'model.test_cfg.conf_thr=0.0',
]


@pytest.fixture(scope='module')
def paths(tmp_path_factory) -> dict[int, str]:
    """The same rows in both formats, by format."""
    folder = tmp_path_factory.mktemp('example')
    with tarfile.open(ARCHIVE) as content:
        content.extractall(folder)
    convert_v3(folder / 'example', folder / 'format4')
    return {3: str(folder / 'example'), 4: str(folder / 'format4')}


def run(folder: Path, path: str, options: list[str]) -> list[dict]:
    """Train and evaluate the example; returns the numbers that MMEngine logged."""
    torch.set_num_threads(1)
    folder.mkdir()
    text = (HERE / 'documented_config.py').read_text()
    (folder / 'example.py').write_text(text.replace('TRAIN_PATH', path).replace('VAL_PATH', path))
    argv = [
        'train',
        str(folder / 'example.py'),
        '--work-dir',
        str(folder / 'work'),
        '--cfg-options',
        *OPTIONS,
        *options,
    ]
    assert main(argv) == 0
    lines = next((folder / 'work').glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [json.loads(line) for line in lines]


def losses(lines: list[dict]) -> list[dict]:
    return [{key: line[key] for key in line if key.startswith('loss')} for line in lines if 'loss' in line]


def metrics(lines: list[dict]) -> dict:
    return {key: line[key] for line in lines for key in line if key.startswith('coco/')}


@pytest.mark.parametrize(
    'options', [pytest.param(SMALL, id='small'), pytest.param([], id='verbatim', marks=pytest.mark.slow)]
)
def test_the_documented_example_gives_the_same_losses_on_both_formats(tmp_path, paths, options):
    three, four = (run(tmp_path / str(number), paths[number], options) for number in (3, 4))
    assert losses(three) == losses(four)
    assert [set(step) for step in losses(three)] == [{'loss', 'loss_cls', 'loss_conf', 'loss_xy', 'loss_wh'}] * 2
    if options:  # so little trained, the detector finds nothing that is worth its score
        assert metrics(three) == metrics(four) != {}
    config = Config.fromfile(tmp_path / '3' / 'work' / 'example.py')
    assert config.model.bbox_head.num_classes == 3
    assert config.model.data_preprocessor.mean == [0, 0, 0]
    assert config.model.data_preprocessor.std == [255.0, 255.0, 255.0]
    assert config.model.data_preprocessor.pad_size_divisor == 32
    assert (config.train_dataloader.batch_size, config.val_dataloader.batch_size) == (4, 1)
    assert config.train_dataloader.dataset.deeplake_dataloader_type == 'c++'
    assert [step.type for step in config.train_dataloader.dataset.pipeline] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'Expand',
        'RandomResize',
        'RandomFlip',
        'PhotoMetricDistortion',
        'PackDetInputs',
    ]
    log = next((tmp_path / '3' / 'work').glob('*/*.log')).read_text()
    assert log.count("'mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py'") == 1
    assert 'INSERT_YOUR_DEEPLAKE_TOKEN' not in log
