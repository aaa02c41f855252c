"""The hook in real runs of MMEngine, with a detector that copies the annotations."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS, VISBACKENDS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmengine.visualization import BaseVisBackend

import deeplake_mmdet
from deeplake_mmdet.convert import make_demo
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.report import hook as hook_module
from deeplake_mmdet.report.archive import load
from deeplake_mmdet.report.figures.thresholds import threshold_picture
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.tracker import send
from tests.support.evaluations import random_evaluation
from tests.support.tiny import write_tiny

ROOT = Path(__file__).parents[2]
TOKEN = 'token-that-nobody-may-see'
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape')),
]
COCO = dict(type='DeepLakeCocoMetric', metric='bbox', backend='pycocotools')


@MODELS.register_module(force=True)
class CopyingDetector(BaseModel):
    """Finds what is annotated, the first object of each image as the other class."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if mode == 'loss':
            return {'loss': self.weight**2}
        for sample in data_samples:
            truth = sample.gt_instances
            labels = truth.labels.clone()
            labels[:1] = (labels[:1] + 1) % 2
            scores = torch.linspace(0.9, 0.5, len(labels))
            sample.pred_instances = InstanceData(bboxes=truth.bboxes.tensor, labels=labels, scores=scores)
            if 'masks' in truth:
                sample.pred_instances.masks = torch.from_numpy(truth.masks.to_ndarray()).bool()
        return data_samples


@VISBACKENDS.register_module(force=True)
class RecordingVisBackend(BaseVisBackend):
    """Keeps the images that it is given."""

    images: list[tuple[str, np.ndarray, int]] = []

    def _init_env(self) -> None: ...

    experiment = None

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        self.images.append((name, image, step))

    add_config = add_graph = add_scalar = add_scalars = close = lambda self, *args, **kwargs: None


@pytest.fixture(autouse=True)
def fresh() -> None:
    init_default_scope('mmdet')
    RecordingVisBackend.images.clear()


@pytest.fixture(scope='module')
def path(tmp_path_factory) -> str:
    return write_tiny(tmp_path_factory.mktemp('data') / 'ds')


def runner_of(
    path: str,
    work_dir: Path,
    *,
    metrics: Any = COCO,
    loop: dict | None = None,
    pipeline: list = PIPELINE,
    **options: Any,
) -> Runner:
    by_epoch = (loop or {}).get('by_epoch', True)
    dataset = dict(
        type='DeepLakeDataset',
        deeplake_path=path,
        deeplake_credentials=dict(token=TOKEN),
        pipeline=pipeline,
        test_mode=True,
    )
    loader = dict(batch_size=3, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
    config = dict(
        model=dict(type='CopyingDetector'),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=loop or dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='DeepLakeReportHook', **{'strict': True, 'images': 4, **options})],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=by_epoch)),
        visualizer=dict(
            type='Visualizer',
            name=str(work_dir),
            vis_backends=[dict(type='LocalVisBackend'), dict(type='RecordingVisBackend')],
        ),
        log_processor=dict(by_epoch=by_epoch),
        experiment_name=work_dir.name,
        default_scope='mmdet',
    )
    for split in ('val', 'test'):
        config |= {f'{split}_dataloader': loader, f'{split}_evaluator': metrics, f'{split}_cfg': dict()}
    Config(config).dump(work_dir / 'copying.py')
    return Runner.from_cfg(Config.fromfile(work_dir / 'copying.py'))


def steps() -> list[int]:
    """The steps at which a tracker got the first picture."""
    name = RecordingVisBackend.images[0][0] if RecordingVisBackend.images else None
    return [step for other, _, step in RecordingVisBackend.images if other == name]


@pytest.fixture
def warnings_logged(monkeypatch) -> list[str]:
    """What goes to the log of the run as a warning."""
    found: list[str] = []
    monkeypatch.setattr(
        logging.Logger, 'warning', lambda self, message, *args, **kwargs: found.append(str(message)), raising=True
    )
    return found


def test_each_validation_of_a_training_has_its_report_over_the_one_before(path, tmp_path):
    runner = runner_of(path, tmp_path)
    runner.train()
    folder = Path(runner.log_dir) / 'report'
    report, page = load(folder / 'evaluation.npz'), (folder / 'index.html').read_text()
    assert (report.subject.title, report.subject.checkpoint) == (
        'copying.py: validation after epoch 2',
        'epoch_2.pth',
    )
    assert '<title>copying.py: validation after epoch 2</title>' in page
    assert steps() == [1, 2]
    assert [image.row for image in report.gallery] == [0, 1, 2, 3]
    assert report.gallery[0].counts == {'right': 1, 'missed': 0, 'false': 0, 'wrong class': 1}
    measured = runner.val_evaluator.metrics[0].evaluation
    assert report.evaluation.values == measured.values
    assert report.evaluation.detections.scores.tolist() == measured.detections.scores.tolist()
    log = next(file.read_text() for file in Path(runner.log_dir).glob('*.log'))
    assert f'Report: {folder / "index.html"}' in log


def test_the_report_of_a_training_by_iterations_says_how_many(path, tmp_path):
    loop = dict(by_epoch=False, max_iters=4, val_interval=2)
    runner = runner_of(path, tmp_path, loop=loop)
    runner.train()
    subject = load(Path(runner.log_dir) / 'report' / 'evaluation.npz').subject
    assert (subject.title, subject.checkpoint) == ('copying.py: validation after iteration 4', 'iter_4.pth')
    assert steps() == [2, 4]


def test_only_the_last_validation_is_reported_where_that_is_asked_for(path, tmp_path):
    runner = runner_of(path, tmp_path, every_validation=False)
    runner.train()
    assert steps() == [2]
    assert load(Path(runner.log_dir) / 'report' / 'evaluation.npz').subject.epoch == 2


def test_a_validation_and_a_test_without_a_training_are_reported_at_once(path, tmp_path):
    runner = runner_of(path, tmp_path, every_validation=False)
    runner._load_from = 'https://host/models/best.pth?key=private'
    runner._has_loaded = True
    for run, title in ((runner.val, 'copying.py: validation'), (runner.test, 'copying.py: test')):
        run()
        subject = load(Path(runner.log_dir) / 'report' / 'evaluation.npz').subject
        assert (subject.title, subject.checkpoint) == (title, 'best.pth')
    assert '<h2>Training</h2>' not in (Path(runner.log_dir) / 'report' / 'index.html').read_text()


def test_trackers_get_the_pictures_as_rgb_and_the_local_backend_none(path, tmp_path):
    runner_of(path, tmp_path, loop=dict(by_epoch=True, max_epochs=1)).train()
    names = [name for name, _, _ in RecordingVisBackend.images]
    assert names[:2] == ['report/precision_recall_bbox_50', 'report/precision_recall_bbox_75']
    # Those of the metrics' course include this validation: the log was written before.
    assert {'report/confusion_matrix', 'report/score_threshold', 'report/metrics'} <= set(names)
    for _, image, _ in RecordingVisBackend.images:
        assert image.dtype == np.uint8 and image.shape[2] == 3
    assert not list(tmp_path.rglob('vis_image'))


class RecordingSink:
    """Keeps the rows that it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[list[dict[str, Any]], int]] = []

    def predictions(self, rows: list[dict[str, Any]], step: int) -> None:
        self.given.append((rows, step))


def test_tables_of_trackers_get_what_is_annotated_and_found_in_the_worst_images(path, tmp_path):
    runner, sink = runner_of(path, tmp_path, images=4, loop=dict(by_epoch=True, max_epochs=1)), RecordingSink()
    runner.sinks = [sink]
    runner.train()
    ((rows, step),) = sink.given
    assert (len(rows), step) == (4, 1)
    dataset = deeplake_mmdet.DeepLakeDataset(deeplake_path=path)
    dataset.full_init()
    for row in rows:
        info = dataset.get_data_info(row['row'])
        assert row['img_id'] == info['img_id']
        assert row['gt_boxes'].tolist() == [one['bbox'] for one in info['instances']] == row['boxes'].tolist()
        assert row['gt_labels'].tolist() == [one['bbox_label'] for one in info['instances']] == [0, 1]
        assert row['labels'].tolist() == [1, 1]
        assert row['scores'].tolist() == pytest.approx([0.9, 0.5])
        assert row['classes'] == dataset.metainfo['classes']
        assert np.array_equal(row['image'], mmcv.imread(info['img_path'])[..., ::-1])


def test_trackers_get_nothing_where_that_is_asked_for(path, tmp_path):
    runner_of(path, tmp_path, tracker=False).val()
    assert RecordingVisBackend.images == []


def test_mlflow_gets_the_name_of_a_file():
    class MLflowVisBackend(RecordingVisBackend): ...

    class Visualizer:
        _vis_backends = {'mlflow': MLflowVisBackend('unused'), 'other': RecordingVisBackend('unused')}

    picture = threshold_picture(Outcome.of(random_evaluation()))
    send(Visualizer(), [picture], 'report', 3)
    assert [name for name, _, _ in RecordingVisBackend.images] == [
        'report/score_threshold_3.png',
        'report/score_threshold',
    ]


@pytest.fixture
def failing(monkeypatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError('in the middle of a picture')

    monkeypatch.setattr(hook_module, 'report_metric', fail)


def test_a_report_that_fails_costs_a_warning_and_not_the_training(path, tmp_path, failing, warnings_logged):
    runner = runner_of(path, tmp_path, strict=False)
    runner.train()
    assert runner.epoch == 2
    found = [text for text in warnings_logged if 'The report of this validation failed; the run goes on' in text]
    assert len(found) == 2
    assert 'ZeroDivisionError: in the middle of a picture' in found[0] and 'Traceback' in found[0]


def test_a_report_that_fails_raises_where_that_is_asked_for(path, tmp_path, failing):
    with pytest.raises(ZeroDivisionError, match='in the middle of a picture'):
        runner_of(path, tmp_path).val()


def test_each_metric_of_ours_has_a_report(path, tmp_path):
    runner = runner_of(
        path,
        tmp_path,
        metrics=[
            COCO,
            dict(type='DumpDetResults', out_file_path=str(tmp_path / 'x.pkl')),
            dict(type='DeepLakeVOCMetric'),
        ],
    )
    runner.test()
    metrics = [load(file).evaluation.metric for file in sorted(tmp_path.rglob('evaluation.npz'))]
    assert metrics == ['DeepLakeCocoMetric', 'DeepLakeVOCMetric']
    assert {name.split('/')[0] for name, _, _ in RecordingVisBackend.images} == {'report', 'report_2'}


def test_masks_are_evaluated_and_drawn(tmp_path):
    make_demo(tmp_path / 'demo', train=1, val=3)
    pipeline = [PIPELINE[0], dict(type='LoadAnnotations', with_bbox=True, with_mask=True), PIPELINE[2]]
    runner = runner_of(
        str(tmp_path / 'demo'), tmp_path, pipeline=pipeline, metrics={**COCO, 'metric': ['bbox', 'segm']}
    )
    runner.val()
    (file,) = tmp_path.rglob('evaluation.npz')
    report = load(file)
    assert {'bbox_mAP', 'segm_mAP'} <= set(report.evaluation.values)
    page = (file.parent / 'index.html').read_text()
    assert 'Precision and recall (masks, IoU 0.75)' in page
    assert report.gallery[0].file_name.endswith('.jpg')


def test_ranks_and_metrics_without_an_evaluation_write_nothing(path, tmp_path, warnings_logged):
    runner = runner_of(path, tmp_path)
    runner.val_loop.evaluator.metrics[0].evaluation = None
    warnings_logged.clear()
    hook = hook_module.DeepLakeReportHook(strict=True)
    hook.after_val_epoch(runner, {})
    assert warnings_logged == []
    runner.val_loop.evaluator.metrics = [object()]
    hook.after_val_epoch(runner, {})
    hook.after_val_epoch(runner, {})
    assert warnings_logged == [
        'DeepLakeReportHook writes no report: it expected a DeepLakeCocoMetric or DeepLakeVOCMetric, but the evaluator '
        'has object.'
    ]
    assert not list(tmp_path.rglob('report*'))


@pytest.mark.parametrize('images', [-1, 2.5, True, 'all'])
def test_a_number_of_images_that_is_none_is_refused(images):
    with pytest.raises(ConfigError, match=r'DeepLakeReportHook\(images=\) expected a whole number of at least 0'):
        HOOKS.build(dict(type='DeepLakeReportHook', images=images))


def test_no_credentials_are_in_the_report(path, tmp_path):
    runner_of(path, tmp_path).val()
    for file in tmp_path.rglob('report/*'):
        assert TOKEN.encode() not in file.read_bytes()
    (data,) = tmp_path.rglob('evaluation.npz')
    with np.load(data) as arrays:
        assert TOKEN.encode() not in arrays['words'].tobytes()


def test_the_hook_is_built_by_its_name_and_runs_between_the_log_and_the_checkpoint():
    hook = HOOKS.build(dict(type='DeepLakeReportHook', images=3))
    assert isinstance(hook, hook_module.DeepLakeReportHook)
    assert (hook.images, hook.every_validation, hook.priority) == (3, True, 'LOW')


def test_the_base_config_has_the_hook():
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'rtmdet_narrow.py')
    assert 'DeepLakeReportHook' in [hook.type for hook in config.custom_hooks]
    assert deeplake_mmdet.__name__ in config.custom_imports.imports
