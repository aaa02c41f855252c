"""The metric evaluates the dataset that was predicted, and says so when it was another."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from deeplake_mmdet import DeepLakeCocoMetric, DeepLakeDataset
from deeplake_mmdet.errors import AnnotationError, ColumnError, ConfigError
from deeplake_mmdet.metrics import coco
from deeplake_mmdet.metrics.backends import BackendError, choose_backend
from deeplake_mmdet.metrics.backends.with_hotcoco import Hotcoco
from tests.support.tiny import write_tiny


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def _perfect(dataset: DeepLakeDataset) -> list[dict]:
    """The ground truth of every sample as its prediction."""
    samples = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        boxes = [instance['bbox'] for instance in info['instances']]
        predicted = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.full((len(boxes),), 0.9),
            labels=torch.tensor([instance['bbox_label'] for instance in info['instances']], dtype=torch.int64),
        )
        samples.append(
            {
                'img_id': info['img_id'],
                'img_path': info['img_path'],
                'ori_shape': (info['height'], info['width']),
                'pred_instances': predicted,
            }
        )
    return samples


def _evaluate(dataset: DeepLakeDataset, samples: list[dict], **kwargs) -> dict:
    metric = DeepLakeCocoMetric(**kwargs)
    metric.dataset_meta = dataset.metainfo
    metric.process({}, samples)
    return metric.evaluate(len(dataset))


def _tiny(tmp_path, **kwargs) -> DeepLakeDataset:
    return DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds', **kwargs), test_mode=True)


def _boxes(rows: int) -> list:
    return [[[2 + i, 3, 10, 12], [20, 5 + i, 15, 20]] for i in range(rows)]


def test_two_open_datasets_that_differ_in_their_image_ids_are_told_apart(tmp_path):
    boxes = _boxes(6)
    first = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'first', boxes=boxes), test_mode=True)
    ids = {'img_id': ('int64', np.arange(6)[::-1].copy())}
    second = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'second', boxes=boxes, extra=ids), test_mode=True)
    assert first.metainfo['deeplake']['digest'] != second.metainfo['deeplake']['digest']
    for dataset in (first, second):
        assert _evaluate(dataset, _perfect(dataset))['coco/bbox_mAP'] == 1


def test_a_subset_is_evaluated_on_its_own_images(tmp_path):
    path = write_tiny(tmp_path / 'ds', boxes=_boxes(6))
    dataset = DeepLakeDataset(deeplake_path=path, test_mode=True, indices=[1, 4])
    assert _evaluate(dataset, _perfect(dataset))['coco/bbox_mAP'] == 1


@pytest.mark.parametrize(('iou_thrs', 'precision'), [(0.5, 1), ([0.5], 1), ([0.75], 0), ((0.5, 0.75), 0.5)])
def test_iou_thresholds_count_as_a_config_writes_them(tmp_path, iou_thrs, precision):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    samples = _perfect(dataset)
    for sample in samples:  # a quarter of its width aside, a box has an IoU of 0.6
        boxes = sample['pred_instances'].bboxes
        boxes[:, ::2] += (boxes[:, 2:3] - boxes[:, :1]) / 4
    assert _evaluate(dataset, samples, iou_thrs=iou_thrs)['coco/bbox_mAP'] == precision


def test_predictions_of_another_dataset_are_refused(tmp_path):
    one, other = (DeepLakeDataset(deeplake_path=write_tiny(tmp_path / name), test_mode=True) for name in 'ab')
    with pytest.raises(ConfigError, match=r'got images of .*MultiDatasetsEvaluator'):
        _evaluate(one, _perfect(one) + _perfect(other))


def test_an_image_that_is_predicted_twice_is_refused(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    with pytest.raises(ConfigError, match='several predictions for one image'):
        _evaluate(dataset, _perfect(dataset) + _perfect(dataset)[:1])


def test_segmentation_without_masks_is_refused(tmp_path):
    dataset = DeepLakeDataset(deeplake_path=write_tiny(tmp_path / 'ds'), test_mode=True)
    with pytest.raises(ColumnError, match='asks for masks'):
        _evaluate(dataset, _perfect(dataset), metric='segm')


def test_a_dataset_of_another_kind_is_refused(tmp_path):
    metric = DeepLakeCocoMetric()
    metric.dataset_meta = dict(classes=('a',))
    with pytest.raises(ConfigError, match='expected the evaluated dataset to be one DeepLakeDataset'):
        metric.evaluate(0)


def test_images_that_were_not_predicted_are_missed(tmp_path):
    dataset = _tiny(tmp_path)
    with pytest.raises(ConfigError, match=r'expected predictions for the 6 images .* but got 5.*indices='):
        _evaluate(dataset, _perfect(dataset)[:5])


def test_images_that_are_not_in_the_dataset_are_named(tmp_path):
    dataset = _tiny(tmp_path)
    samples = _perfect(dataset)
    samples[2]['img_id'] = 4711
    with pytest.raises(ConfigError, match=r'images that are not in .*img_id \[4711\]'):
        _evaluate(dataset, samples)


def test_a_metric_that_is_used_again_takes_the_annotations_of_the_new_dataset(tmp_path):
    one, other = (
        DeepLakeDataset(deeplake_path=write_tiny(tmp_path / str(shift), boxes=_shifted(shift)), test_mode=True)
        for shift in (0, 9)
    )
    metric = DeepLakeCocoMetric()
    for dataset in (one, other):
        metric.dataset_meta = dataset.metainfo
        metric.process({}, _perfect(dataset))
        assert metric.evaluate(len(dataset))['coco/bbox_mAP'] == 1


def _with_masks(tmp_path) -> DeepLakeDataset:
    """Each box has a mask that fills it."""
    from deeplake import types

    masks = np.zeros((40, 40, 2), np.uint8)
    masks[3:15, 2:12, 0] = masks[5:35, 20:35, 1] = 1
    return _tiny(tmp_path, extra={'masks': (types.BinaryMask(sample_compression='lz4'), [masks] * 6)})


def _shifted(shift: int) -> list:
    return [[[2 + shift, 3, 10, 12], [18, 2 + shift, 15, 20]]] * 6


def test_an_evaluation_without_a_detection_gives_zeros(tmp_path):
    dataset = _tiny(tmp_path)
    samples = _perfect(dataset)
    for sample in samples:
        sample['pred_instances'] = sample['pred_instances'][:0]
    values = _evaluate(dataset, samples, classwise=True)
    assert values['coco/bbox_mAP'] == values['coco/bbox_mAP_50'] == values['coco/cat_precision'] == 0
    assert values['coco/bbox_mAP_l'] == -1  # there is no large object


def test_a_dataset_without_an_annotation_gives_minus_one_and_a_warning(tmp_path, caplog):
    dataset = _tiny(tmp_path, boxes=[[]] * 3)
    samples = _perfect(dataset)
    samples[1]['pred_instances'] = _found([[1, 2, 9, 9]], [0.5], [0])
    with caplog.at_level('WARNING'):
        logger = MMLogger.get_current_instance()
        logger.addHandler(caplog.handler)
        values = _evaluate(dataset, samples)
        logger.removeHandler(caplog.handler)
    assert set(values.values()) == {-1}
    assert 'none of the 3 images has an annotation' in caplog.text


def _found(boxes: list, scores: list, labels: list) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels),
    )


@pytest.mark.parametrize(('key', 'name'), [('scores', 'finite scores'), ('bboxes', 'finite bboxes')])
def test_a_number_that_is_none_is_refused_with_its_image(tmp_path, key, name):
    dataset = _tiny(tmp_path)
    samples = _perfect(dataset)
    samples[4]['pred_instances'][key][1] = float('nan')
    with pytest.raises(AnnotationError, match=rf'img_id 4 expected {name}, but got .*nan.* for detection 1'):
        _evaluate(dataset, samples)


def test_a_score_of_a_mask_that_is_no_number_is_refused(tmp_path):
    dataset = _tiny(tmp_path)
    samples = _perfect(dataset)
    samples[1]['pred_instances'].mask_scores = torch.tensor([0.5, float('nan')])
    with pytest.raises(AnnotationError, match='img_id 1 expected finite mask_scores'):
        _evaluate(dataset, samples)


@pytest.mark.parametrize('key', ['scores', 'labels', 'mask_scores', 'masks'])
@pytest.mark.parametrize('number', [1, 3])
def test_predictions_that_are_not_one_a_box_are_refused(tmp_path, key, number):
    dataset = _tiny(tmp_path)
    samples = [dict(sample, pred_instances=sample['pred_instances'].to_dict()) for sample in _perfect(dataset)]
    values = {'labels': torch.zeros(number, dtype=torch.int64), 'masks': torch.zeros((number, 40, 40))}
    samples[2]['pred_instances'][key] = values.get(key, torch.full((number,), 0.5))
    with pytest.raises(AnnotationError, match=rf'img_id 2 expected 2 {key}, one a box, but got {number}'):
        _evaluate(dataset, samples)


@pytest.mark.parametrize(
    ('masks', 'message'),
    [
        ([{'size': [40, 40], 'counts': '01'}] * 2, 'img_id 2, mask 0: '),
        (
            [coco_mask.encode(np.zeros(size, np.uint8, order='F')) for size in ((40, 40), (10, 160))],
            r'expected masks of one height and width, but got \[\(10, 160\), \(40, 40\)\]',
        ),
        (torch.full((2, 40, 40), 0.7), 'expected masks of zeros and ones, but got probabilities'),
    ],
)
def test_predicted_masks_that_are_none_are_refused(tmp_path, masks, message):
    dataset = _with_masks(tmp_path)
    samples = [dict(sample, pred_instances=sample['pred_instances'].to_dict()) for sample in _perfect(dataset)]
    samples[2]['pred_instances']['masks'] = masks
    with pytest.raises(AnnotationError, match=message):
        _evaluate(dataset, samples, metric='segm')


def test_two_datasets_that_differ_in_their_mask_column_are_told_apart(tmp_path):
    from deeplake import types

    columns = {name: np.zeros((40, 40, 2), np.uint8) for name in ('fine', 'coarse')}
    columns['fine'][3:15, 2:12, 0] = columns['fine'][5:35, 20:35, 1] = 1
    columns['coarse'][0:3] = 1
    extra = {name: (types.BinaryMask(sample_compression='lz4'), [masks] * 6) for name, masks in columns.items()}
    path = write_tiny(tmp_path / 'ds', extra=extra)
    datasets = {
        name: DeepLakeDataset(deeplake_path=path, deeplake_tensors=dict(gt_masks=name), test_mode=True)
        for name in columns
    }
    for name, precision in (('fine', 1), ('coarse', 0)):
        samples = _perfect(datasets[name])
        for sample in samples:
            sample['pred_instances'].masks = torch.as_tensor(columns['fine'].transpose(2, 0, 1).astype(bool))
        assert _evaluate(datasets[name], samples, metric='segm')['coco/segm_mAP'] == precision


def test_a_subset_is_evaluated_when_its_parent_is_gone(tmp_path):
    dataset = _tiny(tmp_path)
    assert dataset.metainfo['deeplake']['digest']
    subset = dataset.get_subset([1, 4])
    del dataset
    gc.collect()
    samples = _perfect(subset)
    assert _evaluate(subset, samples)['coco/bbox_mAP'] == 1


def test_an_engine_that_fails_on_later_images_gives_way_to_pycocotools(tmp_path, monkeypatch):
    dataset = _tiny(tmp_path)

    class Failing(Hotcoco):
        def accumulate(self, *args):
            raise BackendError('broken.')

    monkeypatch.setattr(coco, 'choose_backend', _choose(Failing()))
    assert _evaluate(dataset, _perfect(dataset))['coco/bbox_mAP'] == 1
    with pytest.raises(BackendError, match='broken'):
        _evaluate(dataset, _perfect(dataset), backend='hotcoco')


def _choose(engine):
    return lambda name, *data: (engine, 'It is chosen') if name != 'pycocotools' else choose_backend(name, *data)


def test_numbers_of_half_precision_are_read(tmp_path):
    dataset = _tiny(tmp_path)
    samples = _perfect(dataset)
    for sample in samples:
        sample['pred_instances'].scores = sample['pred_instances'].scores.to(torch.bfloat16)
    assert _evaluate(dataset, samples)['coco/bbox_mAP'] == 1


@pytest.mark.parametrize('label', [-1, 2])
def test_a_label_that_no_class_has_is_refused(tmp_path, label):
    dataset = _tiny(tmp_path)
    samples = _perfect(dataset)
    samples[3]['pred_instances'].labels[0] = label
    with pytest.raises(ConfigError, match=rf'img_id 3 expected labels from 0 to 1.*but got {label}.*num_classes'):
        _evaluate(dataset, samples)


def test_masks_that_the_detector_does_not_predict_cannot_be_evaluated(tmp_path):
    dataset = _with_masks(tmp_path)
    with pytest.raises(AnnotationError, match=r"metric='segm'\) expected predicted masks.*mask head"):
        _evaluate(dataset, _perfect(dataset), metric='segm')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(ann_file='a.json'), r'ann_file=\) expected no value.*_delete_=True'),
        (dict(metric='bboxes'), r"metric=\) expected some of 'bbox', .*'bboxes'.* Did you mean 'bbox'"),
        (dict(metric=[]), r'metric=\) expected each of .* at most once, but got \[\]'),
        (dict(metric=['bbox', 'bbox']), r'metric=\) expected each of .* at most once'),
        (dict(metric=['proposal', 'proposal_fast']), r'metric=\).*got both.*two evaluators'),
        (dict(metric_items=['mAP50']), r"metric_items=\).*'mAP50'.* Did you mean 'mAP_50'"),
        (dict(metric_items=['AR@300'], proposal_nums=(1, 10)), r"metric_items=\) .*'AR@10', .*but got 'AR@300'"),
        (dict(format_only=True), r'outfile_prefix=\) expected where to write'),
        (dict(proposal_nums=(0, 10)), r'proposal_nums=\) expected positive integers'),
        (dict(iou_thrs=1.5), r'iou_thrs=\) expected rising IoU thresholds'),
        (dict(iou_thrs=[0.7, 0.5]), r'iou_thrs=\) expected rising IoU thresholds'),
        (dict(iou_thrs='half'), r'iou_thrs=\) expected rising IoU thresholds'),
    ],
)
def test_an_argument_that_means_nothing_is_refused(options, message):
    with pytest.raises(ConfigError, match='DeepLakeCocoMetric.' + message):
        DeepLakeCocoMetric(**options)


@pytest.mark.parametrize(('backend', 'message'), [('hotcocoa', "'hotcocoa'.*Did you mean 'hotcoco'")])
def test_an_engine_that_is_unknown_is_refused(tmp_path, backend, message):
    with pytest.raises(ConfigError, match=message):
        DeepLakeCocoMetric(backend=backend)


def test_precisions_of_classes_have_a_name_for_each_metric(tmp_path):
    dataset = _with_masks(tmp_path)
    samples = _perfect(dataset)
    for sample in samples:
        bitmaps = torch.zeros((2, 40, 40), dtype=torch.bool)
        bitmaps[0, 3:15, 2:12] = True
        sample['pred_instances'].masks = bitmaps
    values = _evaluate(dataset, samples, metric=['bbox', 'segm'], classwise=True)
    assert values['coco/bbox_cat_precision'] == values['coco/bbox_dog_precision'] == 1
    assert (values['coco/segm_cat_precision'], values['coco/segm_dog_precision']) == (1, 0)
