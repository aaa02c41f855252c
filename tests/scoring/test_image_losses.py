"""The loss of each image in a batch is what the detector's own ``loss`` says of that image alone."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.models.detectors import RetinaNet
from mmdet.models.losses import FocalLoss
from mmdet.structures import DetDataSample
from mmengine.model import ImgDataPreprocessor
from torch import nn

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.scoring.image_losses import ImageLosses, ImageResult
from tests.support.small_detectors import SMALL, small_batch, small_detector
from tests.support.small_training import TinyDetector

TOGETHER = 'Backbone and neck run once'
LAYERS = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd, nn.MultiheadAttention)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def own_losses(model: Any, batch: dict, place: int, seed: int = 0) -> dict[str, float]:
    """A training step of one image, without its backward pass; statistics are kept and nothing is dropped."""
    model = copy.deepcopy(model).train()
    model.data_preprocessor.batch_augments = None
    for module in model.modules():
        if isinstance(module, LAYERS):
            module.eval()
    one = {key: [copy.deepcopy(values[place])] for key, values in batch.items()}
    data = model.data_preprocessor(one, training=True)
    for seed_one in (torch.manual_seed, np.random.seed, random.seed):
        seed_one(seed)
    with torch.no_grad():
        losses = model(**data, mode='loss')
    terms = {
        name: float(value.mean()) if isinstance(value, torch.Tensor) else sum(float(one.mean()) for one in value)
        for name, value in losses.items()
        if 'loss' in name
    }
    return {'loss': sum(terms.values()), **terms}


def assert_same(ours: dict[str, float], theirs: dict[str, float]) -> None:
    assert list(ours) == list(theirs)
    assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=1e-4, abs=1e-5, nan_ok=True)


def batch_for(name: str, seed: int = 0) -> dict[str, list[Any]]:
    return small_batch(masks=name == 'Mask R-CNN', seed=seed)


@pytest.mark.parametrize('name', SMALL)
def test_sum_and_each_term_are_those_of_the_detector_for_one_image(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    losses = ImageLosses(model, predicts=False)
    results = losses(batch)
    assert losses.how.startswith(TOGETHER)
    for place, result in enumerate(results):
        assert len(result.losses) > 2
        assert_same(result.losses, own_losses(model, batch, place))
    assert len({result.losses['loss'] for result in results}) == len(results)


def assert_predictions_of_test_steps(model: Any, batch: dict, results: list[ImageResult]) -> None:
    model.eval()
    for place, result in enumerate(results):
        one = {key: [copy.deepcopy(values[place])] for key, values in batch.items()}
        expected = model.test_step(one)[0].pred_instances
        assert result.prediction.img_shape == batch['data_samples'][place].img_shape
        found = result.prediction.pred_instances
        assert len(found) == len(expected)
        assert set(found.keys()) == set(expected.keys())
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
        for one, other in ((found, expected), (expected, found)):
            distances = ((one.bboxes[:, None] - other.bboxes).abs() / (100 + other.bboxes.abs())).amax(-1)
            distances[one.labels[:, None] != other.labels] = torch.inf
            distances[(one.scores[:, None] - other.scores).abs() > 1e-4] = torch.inf
            assert (distances.amin(1) < 1e-4).all()  # those of all but equal scores may change places


@pytest.mark.parametrize('name', SMALL)
def test_predictions_are_those_of_a_test_step_of_one_image(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    assert_predictions_of_test_steps(model, batch, ImageLosses(model)(batch))


@pytest.mark.parametrize('name', ['RTMDet', 'Faster R-CNN'])
def test_one_image_at_a_time_gives_the_same(name: str) -> None:
    model, batch = small_detector(name), batch_for(name)
    losses = ImageLosses(model, batched=False)
    assert losses.how == 'The detector runs one image at a time: asked for.'
    for place, result in enumerate(losses(batch)):
        assert_same(result.losses, own_losses(model, batch, place))
        assert result.prediction is not None


def test_the_order_and_number_of_images_change_nothing() -> None:
    model, batch = small_detector('Faster R-CNN'), batch_for('Faster R-CNN')
    results = ImageLosses(model, predicts=False)(batch)
    backwards = ImageLosses(model, predicts=False)({key: values[::-1] for key, values in batch.items()})
    for one, other in zip(results, backwards[::-1], strict=True):
        assert_same(one.losses, other.losses)


def test_backbone_and_head_run_once_for_images_of_one_padded_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    losses = ImageLosses(model)
    losses(batch)  # compares once
    runs: dict[str, list[int]] = {'backbone': [], 'bbox_head': []}
    for name, sizes in runs.items():
        module = getattr(model, name)
        monkeypatch.setattr(module, 'forward', _counted(module.forward, sizes))
    losses(batch)
    assert runs == {'backbone': [3, 1, 1], 'bbox_head': [3, 3, 1, 1, 1, 1]}  # the head for predictions, too


def _counted(forward: Any, sizes: list[int]) -> Any:
    def counted(given: Any) -> Any:
        sizes.append(len(given if isinstance(given, torch.Tensor) else given[0]))
        return forward(given)

    return counted


def test_later_draws_of_the_process_do_not_change() -> None:
    model, batch = small_detector('Faster R-CNN'), batch_for('Faster R-CNN')
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    ImageLosses(model)(batch)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]


def test_samplers_draw_by_the_seed_and_the_same_for_every_image() -> None:
    model, batch = small_detector('Faster R-CNN'), batch_for('Faster R-CNN')
    first, second = (ImageLosses(model, predicts=False)(batch) for _ in range(2))
    other = ImageLosses(model, predicts=False, seed=1)(batch)
    assert [one.losses for one in first] == [one.losses for one in second]
    assert [one.losses for one in first] != [one.losses for one in other]
    assert_same(other[3].losses, own_losses(model, batch, 3, seed=1))


@pytest.mark.parametrize('batched', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_the_detector_comes_back_as_it_was(batched: bool, training: bool) -> None:
    model, batch = small_detector('YOLOX').train(training), batch_for('YOLOX')
    model.bbox_head.training = not training
    state = copy.deepcopy(model.state_dict())
    flags = [module.training for module in model.modules()]
    augments, attributes = model.data_preprocessor.batch_augments, set(vars(model)) | set(vars(model.bbox_head))
    assert len(augments) == 1
    given = copy.deepcopy(batch)
    ImageLosses(model, batched=batched)(batch)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == flags
    assert model.data_preprocessor.batch_augments is augments
    assert set(vars(model)) | set(vars(model.bbox_head)) == attributes
    for one, other in zip(batch['data_samples'], given['data_samples'], strict=True):
        assert one.keys() == other.keys()
        assert one.metainfo == other.metainfo
        assert torch.equal(one.gt_instances.bboxes, other.gt_instances.bboxes)
        assert torch.equal(one.gt_instances.labels, other.gt_instances.labels)


def test_it_comes_back_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small_detector('RetinaNet').train(), batch_for('RetinaNet')

    def failing(*_: Any) -> None:
        raise RuntimeError('out of luck')

    monkeypatch.setattr(model.bbox_head, 'loss_by_feat', failing)
    with pytest.raises(RuntimeError, match='out of luck'):
        ImageLosses(model)(batch)
    assert model.training
    assert model.backbone.training
    assert 'extract_feat' not in vars(model)
    assert 'forward' not in vars(model.bbox_head)


def test_ranks_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small_detector('RTMDet'), batch_for('RTMDet')
    expected = [own_losses(model, batch, place) for place in range(5)]

    def shared(*_: Any, **__: Any) -> None:
        raise AssertionError('a rank asked the others')

    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    for name in ('all_reduce', 'get_world_size'):
        monkeypatch.setattr(torch.distributed, name, shared)
    for place, result in enumerate(ImageLosses(model)(batch)):
        assert_same(result.losses, expected[place])
    assert torch.distributed.is_initialized()


def test_losses_that_are_no_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    loss_by_feat = model.bbox_head.loss_by_feat

    def diverged(*args: Any) -> dict:
        losses = loss_by_feat(*args)
        return {**losses, 'loss_cls': [value * float('nan') for value in losses['loss_cls']], 'acc': torch.ones(1)}

    monkeypatch.setattr(model.bbox_head, 'loss_by_feat', diverged)
    losses = ImageLosses(model, predicts=False)
    result = losses(batch)[1]
    assert losses.how.startswith(TOGETHER)
    assert np.isnan([result.losses['loss'], result.losses['loss_cls']]).all()
    assert result.losses['loss_bbox'] > 0
    assert 'acc' not in result.losses


class CountingLoss(FocalLoss):
    """It grows with every image that it has seen, as the counts of `SeesawLoss` make it change."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register_buffer('seen', torch.zeros(1))

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.seen += 1
        return super().forward(*args, **kwargs) * self.seen


def test_what_a_loss_counts_over_images_is_that_of_one_image() -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    model.bbox_head.loss_cls = CountingLoss(use_sigmoid=True)
    results = ImageLosses(model, predicts=False)(batch)
    assert model.bbox_head.loss_cls.seen == 0
    for place, result in enumerate(results):
        assert result.object_losses is None  # it would have to be asked twice
        assert_same(result.losses, own_losses(model, batch, place))


class CoupledRetinaNet(RetinaNet):
    """Its features depend on the other images of a batch."""

    def extract_feat(self, batch_inputs: torch.Tensor) -> Any:
        return tuple(level - level.mean() for level in super().extract_feat(batch_inputs))


class ModalRetinaNet(RetinaNet):
    """Its features are others when it trains."""

    def extract_feat(self, batch_inputs: torch.Tensor) -> Any:
        return tuple(level * (2 if self.training else 1) for level in super().extract_feat(batch_inputs))


class ForgetfulRetinaNet(RetinaNet):
    """It overwrites the annotations that it is given."""

    def loss(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        losses = super().loss(batch_inputs, batch_data_samples)
        for sample in batch_data_samples:
            sample.gt_instances.labels.zero_()
        return losses


class DirectRetinaNet(RetinaNet):
    """It does not ask `extract_feat` for the images that it is given."""

    def loss(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        return self.bbox_head.loss(self.neck(self.backbone(batch_inputs)), batch_data_samples)


class PooledRetinaNet(RetinaNet):
    """Something in its features is no batch."""

    def extract_feat(self, batch_inputs: torch.Tensor) -> Any:
        features = super().extract_feat(batch_inputs)
        return (*features[:-1], torch.cat([features[-1], features[-1]]))

    def loss(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        features = self.extract_feat(batch_inputs)
        return self.bbox_head.loss((*features[:-1], features[-1][: len(batch_inputs)]), batch_data_samples)


class WritingRetinaNet(RetinaNet):
    """It writes into its features."""

    def loss(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        features = self.extract_feat(batch_inputs)
        features[0].mul_(2)
        return self.bbox_head.loss(features, batch_data_samples)


@pytest.mark.parametrize(
    ('kind', 'why'),
    [
        (CoupledRetinaNet, r'loss.* of an image is \S+ in a batch, but \S+ alone'),
        (DirectRetinaNet, 'it does not ask extract_feat for the features of its inputs'),
        (PooledRetinaNet, r'its features of 3 images have the shape \(6, 16, 1, 1\)'),
        (WritingRetinaNet, 'its head changes the features in place'),
    ],
)
def test_a_detector_of_another_structure_runs_one_image_at_a_time_and_says_why(kind: type, why: str) -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    model.__class__ = kind
    losses = ImageLosses(model, predicts=False)
    results = losses(batch)
    assert re.fullmatch(rf'The detector runs one image at a time: {why}\.', losses.how)
    for place, result in enumerate(results):
        assert_same(result.losses, own_losses(model, batch, place))


class LonelyRetinaNet(RetinaNet):
    """It predicts one image at a time only, as guided anchoring does."""

    def predict(self, batch_inputs: torch.Tensor, *args: Any, **kwargs: Any) -> list[DetDataSample]:
        if len(batch_inputs) > 1:
            raise AssertionError(f'{len(batch_inputs)} images\nand more')
        return super().predict(batch_inputs, *args, **kwargs)


def test_a_detector_that_fails_with_several_images_runs_one_at_a_time() -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    model.__class__ = LonelyRetinaNet
    losses = ImageLosses(model)
    results = losses(batch)
    assert losses.how == 'The detector runs one image at a time: several at once end in AssertionError 3 images.'
    assert_predictions_of_test_steps(model, batch, results)
    for place, result in enumerate(results):
        assert_same(result.losses, own_losses(model, batch, place))


class WrongRetinaNet(RetinaNet):
    """Its loss fails with one image, too."""

    def loss(self, *args: Any, **kwargs: Any) -> dict:
        raise IndexError('label 7')


class PanopticRetinaNet(RetinaNet):
    """It predicts no instances."""

    def predict(self, *args: Any, **kwargs: Any) -> list[DetDataSample]:
        samples = super().predict(*args, **kwargs)
        for sample in samples:
            del sample.pred_instances
        return samples


@pytest.mark.parametrize(
    ('kind', 'error', 'why'),
    [
        (WrongRetinaNet, IndexError, 'label 7'),
        (
            PanopticRetinaNet,
            ConfigError,
            r'to predict instances .*, but gave .*gt_instances.*instance_on=True',
        ),
    ],
)
def test_a_detector_that_fails_with_one_image_raises_that(kind: type, error: type[Exception], why: str) -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    model.__class__ = kind
    with pytest.raises(error, match=why):
        ImageLosses(model)(batch)


def test_predictions_have_the_features_of_a_detector_that_does_not_train() -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    model.__class__ = ModalRetinaNet
    results = ImageLosses(model)(batch)
    assert_predictions_of_test_steps(model, batch, results)
    assert_same(results[1].losses, own_losses(model, batch, 1))


def test_a_detector_that_writes_into_annotations_gets_copies() -> None:
    model, batch = small_detector('RetinaNet'), batch_for('RetinaNet')
    batch['data_samples'][3].gt_instances.labels.fill_(1)
    expected = own_losses(model, batch, 3)
    model.__class__ = ForgetfulRetinaNet
    for batched in (True, False):
        assert_same(ImageLosses(model, batched=batched)(batch)[3].losses, expected)
        assert batch['data_samples'][3].gt_instances.labels.tolist() == [1, 1, 1]


def test_any_model_with_a_loss_can_be_scored_and_drops_nothing() -> None:
    torch.manual_seed(0)
    model = TinyDetector(data_preprocessor=ImgDataPreprocessor()).train()
    batch = {key: values[1:4] for key, values in small_batch().items()}
    losses = ImageLosses(model)
    results = losses(batch)
    assert losses.how == 'The detector runs one image at a time: it has no extract_feat.'
    for place, result in enumerate(results):
        assert_same(result.losses, own_losses(model, batch, place))
    assert all(len(result.prediction.pred_instances) == 1 for result in results)


def test_a_detector_without_a_loss_is_refused() -> None:
    model = TinyDetector(data_preprocessor=ImgDataPreprocessor())
    model.__class__ = Lossless
    with pytest.raises(ConfigError, match="a loss with 'loss' in its name, but gave accuracy"):
        ImageLosses(model)({key: values[1:2] for key, values in small_batch().items()})


class Lossless(TinyDetector):
    """Gives something that is no loss."""

    def forward(self, inputs: torch.Tensor, data_samples: Any, mode: str = 'tensor') -> Any:
        return {'accuracy': torch.ones(1)}
