"""Planted faults are found by the scores, and mended through the loop that the documentation describes."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def bad_labels() -> ModuleType:
    """The benchmark, which is no package."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'path', [str(ROOT / 'benchmarks'), str(ROOT / 'tools'), *sys.path])
        import bad_labels

        return bad_labels


def annotations(path: str, **pins: str) -> list[tuple[np.ndarray, np.ndarray]]:
    index = DeepLakeDataset(deeplake_path=path, **pins).index
    parts = [slice(*index.offsets[image : image + 2]) for image in range(len(index))]
    return [(index.xywh(part), index.labels[part]) for part in parts]


def same(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.timeout(600)
def test_the_loop_mends_what_it_finds_and_nothing_else(bad_labels, tmp_path):
    result = bad_labels.run(tmp_path, images=40, epochs=1, more_epochs=1, rounds=1)
    path = str(tmp_path / 'faulty')
    faults = json.loads(Path(f'{path}_faults.json').read_text())
    assert sorted(fault['kind'] for fault in faults) == sorted(bad_labels.KINDS)
    drawn = annotations(f'{path}_drawn', deeplake_view_id='train')
    faulty, mended = annotations(path), annotations(path, deeplake_branch=bad_labels.BRANCH)
    planted = {fault['row'] for fault in faults}
    assert {row for row in range(40) if not same(faulty[row], drawn[row])} == planted
    seen = bad_labels.viewed_rows(path)
    assert len(seen) == 8
    assert {row for row in range(40) if not same(mended[row], drawn[row])} == planted - seen
    assert set(result['found']) == set(bad_labels.RANKINGS)
    assert result['found']['suspicion']['all'] == len(planted & seen) / len(planted)
    assert 'Mending is worth' in bad_labels.report(result, 40)


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_most_faults_are_among_the_worst_fifth_and_mending_them_raises_the_map(bad_labels, tmp_path):
    result = bad_labels.run(tmp_path, images=240, epochs=16, more_epochs=4, rounds=3)
    print(bad_labels.report(result, 240))
    assert result['found']['suspicion']['all'] >= 0.6
    assert statistics.mean(result['mended']) > statistics.mean(result['faulty'])
