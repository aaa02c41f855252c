"""Training straight from an S3-compatible server."""

from __future__ import annotations

import numpy as np

from tests.support.datasets import write_dataset

from .small_runs import TRAIN_PIPELINE, train_losses


def test_a_detector_trains_from_s3_as_from_a_folder(s3, make_dataset, tmp_path):
    write_dataset(s3.path, 9, creds=s3.creds)
    remote = dict(deeplake_path=s3.path, deeplake_credentials=dict(creds=s3.creds))
    losses = [
        train_losses(
            dict(type='DeepLakeDataset', pipeline=TRAIN_PIPELINE, filter_cfg=dict(filter_empty_gt=True), **source),
            ('cat', 'dog'),
            tmp_path / str(i),
            iterations=3,
            workers=2,
        )
        for i, source in enumerate([remote, dict(deeplake_path=make_dataset(count=9))])
    ]
    assert losses[0] == losses[1]
    assert all(np.isfinite(value) for values in losses[0] for value in values.values())
