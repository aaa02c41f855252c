"""The loss of each object: what the predictions assigned to it add to the terms of the image."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import nn

from deeplake_mmdet.scoring.image_losses import ImageLosses, ImageResult
from tests.support.small_detectors import CLASSES, small_batch, small_detector

KNOWN = ('RetinaNet', 'RTMDet', 'YOLOX', 'Faster R-CNN', 'Mask R-CNN', 'Deformable DETR', 'DINO')
ONLY_OF_OBJECTS = {
    **dict.fromkeys(KNOWN, ('loss_bbox',)),
    'YOLOX': ('loss_cls', 'loss_bbox'),
    'Deformable DETR': ('loss_bbox', 'loss_iou'),
    'DINO': ('loss_bbox', 'loss_iou'),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def scored(model: nn.Module, batch: dict, **options: Any) -> list[ImageResult]:
    return ImageLosses(model, predicts=False, **options)(batch)


def box_head(model: Any) -> nn.Module:
    return model.roi_head.bbox_head if hasattr(model, 'roi_head') else model.bbox_head


def batch_for(name: str) -> dict[str, list[Any]]:
    return small_batch(masks=name == 'Mask R-CNN')


@pytest.mark.parametrize('name', KNOWN)
def test_terms_to_which_background_adds_nothing_are_the_sum_over_objects(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    for term, loss in box_head(model).named_children():
        if term.startswith('loss_') and term not in ONLY_OF_OBJECTS[name]:
            loss.loss_weight = 0.0
    for result, sample in zip(scored(model, batch), batch['data_samples'], strict=True):
        assert result.object_losses.dtype == np.float32
        assert len(result.object_losses) == len(sample.gt_instances)
        expected = sum(result.losses[term] for term in ONLY_OF_OBJECTS[name])
        assert np.nansum(result.object_losses) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize('name', KNOWN)
def test_a_term_is_objects_and_background_together(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    for result in scored(model, batch):
        terms = [
            value for key, value in result.losses.items() if key in ('loss_cls', 'loss_bbox', 'loss_iou', 'loss_obj')
        ]
        assert (result.object_losses[~np.isnan(result.object_losses)] >= 0).all()
        assert np.nansum(result.object_losses) <= sum(terms) * (1 + 1e-5)


@pytest.mark.parametrize('name', KNOWN)
def test_losses_follow_the_order_of_objects(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    backwards = copy.deepcopy(batch)
    for sample in backwards['data_samples']:
        sample.gt_instances = sample.gt_instances[torch.arange(len(sample.gt_instances)).flip(0)]
    pairs = zip(scored(model, batch), scored(model, backwards), strict=True)
    if name in ('Faster R-CNN', 'Mask R-CNN', 'DINO'):  # regions and noise are drawn by the objects' order
        pairs = (pair for pair in pairs if len(pair[0].object_losses) < 2)
    for one, other in pairs:
        np.testing.assert_allclose(one.object_losses, other.object_losses[::-1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('name', ['RetinaNet', 'Faster R-CNN', 'Mask R-CNN', 'YOLOX'])
def test_a_changed_label_changes_the_loss_of_its_object_only(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    box_head(model).loss_bbox.loss_weight = 0.0  # boxes of a class would change with it
    changed = copy.deepcopy(batch)
    labels = changed['data_samples'][3].gt_instances.labels
    labels[1] = (labels[1] + 1) % CLASSES
    before, after = (scored(model, one)[3].object_losses for one in (batch, changed))
    np.testing.assert_allclose(before[[0, 2]], after[[0, 2]], rtol=2e-6)
    assert before[1] != pytest.approx(after[1], rel=2e-5)


def test_retinanets_are_focal_and_l1_losses_of_the_anchors_of_each_object() -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    result = scored(model, batch)[3]
    image = model.data_preprocessor({key: [value[3]] for key, value in copy.deepcopy(batch).items()})
    objects = image['data_samples'][0].gt_instances
    head = model.eval().bbox_head
    with torch.no_grad():
        maps = head(model.extract_feat(image['inputs']))
    scores, deltas = (
        torch.cat([level[0].permute(1, 2, 0).reshape(-1, width) for level in levels])
        for levels, width in zip(maps, (CLASSES, 4), strict=True)
    )
    anchors = torch.cat(head.prior_generator.grid_priors([level.shape[-2:] for level in maps[0]], device='cpu'))
    overlaps = bbox_overlaps(objects.bboxes, anchors)
    owners = torch.where(overlaps.amax(0) >= 0.5, overlaps.argmax(0), -1)
    for number, row in enumerate(overlaps):
        owners[row == row.max()] = number
    expected = []
    for number, (box, label) in enumerate(zip(objects.bboxes, objects.labels, strict=True)):
        mine = owners == number
        probability = scores[mine].sigmoid()
        is_label = nn.functional.one_hot(label, CLASSES).bool()
        focal = torch.where(
            is_label,
            -0.25 * (1 - probability) ** 2 * probability.log(),
            -0.75 * probability**2 * (1 - probability).log(),
        )
        target = head.bbox_coder.encode(anchors[mine], box.expand(int(mine.sum()), 4))
        expected.append(float(focal.sum() + (deltas[mine] - target).abs().sum()) / int((owners >= 0).sum()))
    assert result.object_losses.tolist() == pytest.approx(expected, rel=1e-4)


def test_an_object_without_predictions_has_an_unknown_loss() -> None:
    model, batch = small_detector('RTMDet'), batch_for('RTMDet')
    boxes = batch['data_samples'][2].gt_instances.bboxes
    boxes[1] = boxes[0] + 1e-3  # the other object has all predictions
    found = scored(model, batch)[2].object_losses
    assert np.isnan(found).sum() == 1


@pytest.mark.parametrize(('name', 'options'), [('FCOS', {}), ('RetinaNet', {'per_object': False})])
def test_heads_that_do_not_say_what_is_whose_have_none(name: str, options: dict) -> None:
    model, batch = small_detector(name), batch_for(name)
    assert [one.object_losses for one in scored(model, batch, **options)] == [None] * 5
    head = box_head(model)
    assert all('forward' not in vars(module) for module in head.modules())


def test_losses_are_the_same_with_and_without_those_of_objects() -> None:
    model, batch = small_detector('Faster R-CNN'), batch_for('Faster R-CNN')
    pairs = zip(scored(model, batch), scored(model, batch, per_object=False), strict=True)
    assert all(one.losses == other.losses for one, other in pairs)
