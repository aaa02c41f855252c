"""The first rank may evaluate for longer than the process group lets the others wait: they get its values."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from mmengine.registry import init_default_scope

from deeplake_mmdet import DeepLakeVOCMetric
from tests.support.children import ROOT
from tests.support.evaluating_ranks import first_images, predictions
from tests.support.tiny import write_tiny


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """What each of two ranks got."""
    folder = tmp_path_factory.mktemp('patient')
    write_tiny(folder / 'ds')
    around = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-m', 'tests.support.patient_ranks']
    ranks = [
        subprocess.Popen([*command, str(rank), str(folder)], env=around, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=200)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return folder, [json.loads((folder / f'rank{rank}.json').read_text()) for rank in range(2)]


@pytest.mark.parametrize('way', ['groups', 'folder'])
def test_ranks_that_wait_longer_than_their_group_allows_get_the_values_of_the_first(found, way):
    folder, ranks = found
    init_default_scope('mmdet')
    dataset = first_images(str(folder / 'ds'), 4)
    alone = DeepLakeVOCMetric()
    alone.dataset_meta = dataset.metainfo
    alone.process({}, predictions(dataset))
    expected = alone.evaluate(len(dataset))
    assert expected
    assert [rank[way] for rank in ranks] == [expected, expected]
    assert not any(rank['left'] for rank in ranks)


def test_a_folder_that_the_ranks_do_not_share_is_refused_on_all_of_them(found):
    for rank in found[1]:
        assert rank['other folders'].startswith('ConfigError: collect_dir expected a folder that all machines see')
        assert 'does not find part_1.pkl' in rank['other folders']


def test_a_folder_that_one_rank_cannot_write_is_refused_on_all_of_them(found):
    for rank in found[1]:
        assert rank['full folder'].startswith('ConfigError: collect_dir is ')
        assert 'nothing can be written: Not a directory' in rank['full folder']
