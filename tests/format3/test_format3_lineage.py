"""A record leads back to the rows of a dataset of format 3."""

from __future__ import annotations

from pathlib import Path

import pytest

from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset
from deeplake_mmdet.lineage.data_status import data_status, dataset_config
from deeplake_mmdet.lineage.record import dataset_entry


@pytest.mark.parametrize(
    'pins',
    [
        dict(deeplake_branch='dev'),
        dict(deeplake_view_id='on_dev'),
        dict(deeplake_view_id='one'),
        dict(deeplake_branch='dev', deeplake_query='select * limit 2'),
    ],
    ids=str,
)
def test_the_same_rows_are_opened(unpacked: Path, pins: dict) -> None:
    dataset = DeepLakeDataset(str(unpacked / 'history'), **pins)
    dataset.full_init()
    entry = dataset_entry('train_dataloader.dataset', dataset)
    assert entry['format'] == 3
    status = data_status(entry)
    assert (status.state, status.detail) == ('unchanged', '')
    again = DeepLakeDataset(**dataset_config(entry))
    infos = [[one.get_data_info(i) for i in range(len(one))] for one in (again, dataset)]
    assert infos[0] == infos[1]
    assert len(infos[0]) == len(dataset) > 0
