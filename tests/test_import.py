"""Importing the package is quick, registers, and changes nothing else."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'deeplake_mmdet'
PROBE = """
import json, logging, sys, time
begin = time.process_time()
import deeplake_mmdet
seconds = time.process_time() - begin
heavy = [name for name in ('mmdet.models', 'mmdet.datasets', 'torch', 'deeplake', 'cv2') if name in sys.modules]
handlers, level = len(logging.getLogger().handlers), logging.getLogger().level
import mmdet.registry, mmengine.registry
print(json.dumps(dict(
    seconds=seconds, heavy=heavy, handlers=handlers, level=level,
    dataset='DeepLakeDataset' in mmdet.registry.DATASETS, metric='DeepLakeCocoMetric' in mmdet.registry.METRICS,
)))
"""
UNTOUCHED = """
import mmdet.apis, mmengine.runner, mmengine.dataset, mmdet.datasets, inspect
things = [mmdet.apis, mmengine.runner.Runner, mmengine.dataset.BaseDataset, mmdet.datasets.CocoDataset]
before = [dict(vars(thing)) for thing in things]
import deeplake_mmdet
deeplake_mmdet.DeepLakeDataset, deeplake_mmdet.DeepLakeCocoMetric
assert [dict(vars(thing)) for thing in things] == before
print('untouched')
"""


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_takes_less_than_a_second_and_nothing_heavy():
    found = json.loads(_run(PROBE).splitlines()[-1])
    assert found['seconds'] < 1
    assert found['heavy'] == []
    assert found['handlers'] == 0
    assert found['level'] == 30  # WARNING, Python's default
    assert found['dataset']
    assert found['metric']


def test_importing_leaves_mmdetection_and_mmengine_as_they_are():
    assert 'untouched' in _run(UNTOUCHED)


def test_a_built_dataset_is_of_the_public_class(tmp_path):
    from mmdet.registry import DATASETS

    import deeplake_mmdet
    from tests.support.tiny import write_tiny

    dataset = DATASETS.build(dict(type='DeepLakeDataset', deeplake_path=write_tiny(tmp_path / 'ds')))
    assert type(dataset) is deeplake_mmdet.DeepLakeDataset
    assert DATASETS.get('DeepLakeDataset') is deeplake_mmdet.DeepLakeDataset


# The direction of the data flow: a package imports only from those before it.
ORDER = (
    'errors',
    'config',
    'source',
    'annotations',
    'datasets',
    'metrics',
    'scoring',
    'report',
    'checkpoints',
    'lineage',
    'engine',
    'convert',
    'versions',
    'writeback',
    'inspection',
    'visualization',
    'cli',
)
APART = ('registration', 'doctor', '__init__', '__main__')


@pytest.mark.parametrize('file', sorted(PACKAGE.rglob('*.py')), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_in_the_direction_of_the_data_flow(file):
    own = file.relative_to(PACKAGE).with_suffix('').parts[0]
    assert own in ORDER + APART
    for node in ast.walk(ast.parse(file.read_text())):
        module = getattr(node, 'module', None) if isinstance(node, ast.ImportFrom) else None
        if not module or not module.startswith('deeplake_mmdet.'):
            continue
        other = module.split('.')[1]
        if own in ORDER and other in ORDER:
            assert ORDER.index(other) <= ORDER.index(own), f'{file.name} imports {module}'
        elif own == 'doctor':
            assert other == 'doctor'
