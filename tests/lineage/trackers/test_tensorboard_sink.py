"""What TensorBoard's log holds, read with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.lineage.trackers.attach import guard_backends
from tests.lineage.trackers.predicted_rows import predicted

pytest.importorskip('tensorboard')


def read(work_dir: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = work_dir.rglob('events.out.tfevents*')
    found = EventAccumulator(str(file.parent), size_guidance={'images': 0, 'tensors': 0, 'scalars': 0})
    return found.Reload()


def text_of(found: Any, tag: str) -> str:
    return found.Tensors(f'{tag}/text_summary')[-1].tensor_proto.string_val[0].decode()


@pytest.fixture
def running(visualizer_of: Any, work_dir: Path, config: Any, record: Any) -> Any:
    """A visualizer and its sink, whose run has begun."""
    visualizer = visualizer_of(dict(type='TensorboardVisBackend'))
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
    visualizer.add_config(config)
    sink.start(record)
    return visualizer, sink


def test_the_log_holds_the_record_as_a_table(running, work_dir, record, warnings_logged):
    visualizer, sink = running
    record['metrics'] = {'coco/bbox_mAP': 0.25}
    sink.finish(record)
    visualizer.close()
    found = read(work_dir)
    lines = text_of(found, 'lineage').splitlines()
    assert '| data.train.0.commit&#95;id | 3f2a |' in lines
    assert '| data.train.0.uri | s3://bucket/cars |' in lines
    assert '| data.val.0.rows | 30 |' in lines
    assert '| metrics.coco/bbox&#95;mAP | 0.25 |' in text_of(found, 'lineage/final').splitlines()
    assert warnings_logged == []


def test_no_text_of_a_dataset_is_markup(running, work_dir):
    visualizer, _ = running
    visualizer.close()
    text = text_of(read(work_dir), 'lineage')
    assert '<script>' not in text
    assert '&lt;script&gt;' in text


def test_the_log_has_hyperparameters_beside_the_scalars_of_the_run(running, work_dir, record):
    from tensorboard.plugins.hparams import plugin_data_pb2

    visualizer, sink = running
    visualizer.add_scalars({'coco/bbox_mAP': 0.25}, 1)
    sink.metrics({'test/coco/bbox_mAP': 0.75}, 2)
    sink.finish(record)
    visualizer.close()
    found = read(work_dir)
    contents = found._plugin_to_tag_to_content['hparams']
    assert '_hparams_/experiment' not in contents  # else TensorBoard would show only the metrics that it declares
    session = plugin_data_pb2.HParamsPluginData.FromString(contents['_hparams_/session_start_info']).session_start_info
    values = session.hparams
    assert values['train.train_dataloader.dataset.commit_id'].string_value == '3f2a'
    assert values['seed'].number_value == 7
    assert '_hparams_/session_end_info' in contents
    assert found.Scalars('coco/bbox_mAP')[0].value == 0.25
    assert found.Scalars('test/coco/bbox_mAP')[0].step == 2


def test_checkpoints_predictions_and_created_data_are_in_the_log(running, work_dir, record):
    visualizer, sink = running
    (work_dir / 'epoch_1.pth').write_bytes(b'weights')
    record['checkpoints'] = [{'file': 'epoch_1.pth', 'sha256': '12' * 32, 'epoch': 1, 'iteration': 9}]
    sink.checkpoint(work_dir / 'epoch_1.pth', ['latest', 'best'], record)
    sink.predictions([predicted(1), predicted(2)], 4)
    sink.created('view', 'large cars', record['data']['train'][0])
    visualizer.close()
    found = read(work_dir)
    assert f'| sha256 | {"12" * 32} |' in text_of(found, 'checkpoints').splitlines()
    assert found.Tensors('checkpoints/text_summary')[0].step == 9
    (image,) = found.Images('predictions/row_1_id_101')
    assert (image.step, image.width > 0) == (4, True)
    assert '| kind | view |' in text_of(found, 'created/large cars')
