"""The loss of each image as if it were a batch of its own, at nearly the price of a batch.

The definition is the detector's own ``loss`` of one image: augmentation, statistics of the batch and dropout off, the
same random numbers for every image, nothing averaged over ranks. What images share is only the run of backbone, neck
and dense heads, and only among images that are padded to the same shape as each of them alone. The first time, one
image is computed in both ways; if they differ, all images are computed one at a time.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.scoring.alone import (
    counting_losses,
    exact_float32,
    kept_buffers,
    kept_randomness,
    mode,
    replaced,
    seed_all,
    without_ranks,
)
from deeplake_mmdet.scoring.batched_features import BatchedFeatures, NotBatchable
from deeplake_mmdet.scoring.object_losses import ObjectLosses

_RTOL, _ATOL = 1e-4, 1e-5


@dataclass(frozen=True)
class ImageResult:
    """What a detector says about one image.

    Attributes:
        losses: ``loss``, the sum of all terms, and then each term by the detector's own name; NaN and inf stay.
        object_losses: Float32 (n,), of each of its n ``gt_instances``; None where the head does not allow it.
        prediction: A `DetDataSample` on the CPU with ``pred_instances`` in pixels of the original image, or None.
    """

    losses: dict[str, float]
    object_losses: np.ndarray | None
    prediction: Any


@dataclass(frozen=True)
class _Losses:
    terms: dict[str, torch.Tensor]
    objects: torch.Tensor | None = None


class ImageLosses:
    """Losses and predictions of the images of a batch, each as of that image alone.

    Args:
        model: The detector; it comes back from each call as it was.
        batched: Whether images may share the run of backbone and neck, where the detector allows it.
        predicts: Whether to predict, too.
        per_object: Whether to take the losses apart by object, too.
        seed: Of the random samplers, before each image.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        batched: bool = True,
        predicts: bool = True,
        per_object: bool = True,
        seed: int = 0,
    ) -> None:
        from mmengine.model import is_model_wrapper

        self._model: Any = model.module if is_model_wrapper(model) else model
        self._predicts, self._seed = predicts, seed
        self._counting = counting_losses(self._model)
        self._objects = ObjectLosses(self._model) if per_object else None
        self._hindrance = None if batched else 'asked for'
        self._compared = False
        self._shares_features: bool | None = None  # with predictions; None: not known yet

    @property
    def how(self) -> str:
        """How the losses are computed, in words for a log."""
        if self._hindrance is None:
            return 'Backbone and neck run once for images of one padded shape, the losses image by image.'
        return f'The detector runs one image at a time: {self._hindrance}.'

    def __call__(self, batch: dict) -> list[ImageResult]:
        """The results of the images of a batch, in their order.

        Args:
            batch: As the dataloader gives it: ``inputs`` and ``data_samples``, with annotations, of n images.
        """
        with torch.no_grad(), without_ranks(), kept_randomness(), exact_float32(), self._without_batch_augments():
            images = [self._prepared(batch, place) for place in range(len(batch['inputs']))]
            results: dict[int, ImageResult] = {}
            for places in _of_equal_shape(images):
                results.update(zip(places, self._group([images[place] for place in places]), strict=True))
        return [results[place] for place in range(len(images))]

    @contextlib.contextmanager
    def _without_batch_augments(self) -> Iterator[None]:
        preprocessor = self._model.data_preprocessor
        if getattr(preprocessor, 'batch_augments', None) is None:
            yield
            return
        with replaced(preprocessor, 'batch_augments', None):
            yield

    def _prepared(self, batch: dict, place: int) -> dict:
        one = {key: value[place : place + 1] for key, value in batch.items()}
        return self._model.data_preprocessor(_copied(one), training=True)

    def _group(self, images: list[dict]) -> list[ImageResult]:
        if self._hindrance is None:
            try:
                return self._together(images)
            except NotBatchable as hindrance:
                self._hindrance = str(hindrance)
            except Exception as error:  # one that the images have alone, too, is raised there
                first_line = str(error).partition('\n')[0]
                self._hindrance = f'several at once end in {type(error).__name__} {first_line}'.rstrip()
        return [self._alone(image) for image in images]

    def _together(self, images: list[dict]) -> list[ImageResult]:
        if not isinstance(images[0]['inputs'], torch.Tensor):
            raise NotBatchable('its images are not one tensor')
        with mode(self._model, loss=True):
            features = BatchedFeatures(self._model, torch.cat([image['inputs'] for image in images]))
            losses = []
            for place, image in enumerate(images):
                with features.image(place) as inputs:
                    losses.append(self._losses({**image, 'inputs': inputs}))
            if len(images) > 1 and not self._compared:
                self._compare(losses[0], self._losses(images[0]))
        return _results(losses, self._predictions_together(features, images))

    def _compare(self, together: _Losses, alone: _Losses) -> None:
        ours, theirs = _floats([together, alone])
        if ours.keys() != theirs.keys():
            raise NotBatchable('an image in a batch has other loss terms than alone')
        for name, value in theirs.items():
            if not np.isclose(ours[name], value, rtol=_RTOL, atol=_ATOL, equal_nan=True):
                raise NotBatchable(f'{name} of an image is {ours[name]:.6g} in a batch, but {value:.6g} alone')
        self._compared = True

    def _predictions_together(self, features: BatchedFeatures, images: list[dict]) -> list[Any]:
        if not self._predicts:
            return [None] * len(images)
        with mode(self._model, loss=False):
            if self._shares_features is None:
                self._shares_features = features.same_in_this_mode()
            samples = [sample for image in images for sample in image['data_samples']]
            if self._shares_features:
                with features.all_features() as inputs:
                    return self._predictions({'inputs': inputs, 'data_samples': samples})
            return [prediction for image in images for prediction in self._predictions(image)]

    def _alone(self, image: dict) -> ImageResult:
        with mode(self._model, loss=True):
            losses = self._losses(image)
        with mode(self._model, loss=False):
            return _results([losses], self._predictions(image) if self._predicts else [None])[0]

    def _losses(self, image: dict) -> _Losses:
        seed_all(self._seed)
        with kept_buffers(self._counting):
            if self._objects is None:
                return _Losses(self._terms(self._model(**_copied(image), mode='loss')))
            with self._objects.noted() as noted:
                losses = self._model(**_copied(image), mode='loss')
        count = len(image['data_samples'][0].gt_instances)
        return _Losses(self._terms(losses), self._objects.of(losses, noted, count))

    def _terms(self, losses: dict[str, Any]) -> dict[str, torch.Tensor]:
        if not any('loss' in name for name in losses):
            raise ConfigError(
                f"The detector expected a loss with 'loss' in its name, but gave {', '.join(losses) or 'none'}. Such a "
                'detector cannot be scored.'
            )
        total, terms = self._model.parse_losses(losses)
        return {'loss': total, **{name: value for name, value in terms.items() if 'loss' in name and name != 'loss'}}

    def _predictions(self, images: dict) -> list[Any]:
        return [_prediction(sample) for sample in self._model(**_copied(images), mode='predict')]


def _of_equal_shape(images: list[dict]) -> list[list[int]]:
    places: dict[Any, list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(getattr(image['inputs'], 'shape', place), []).append(place)
    return list(places.values())


def _copied(images: dict) -> dict:
    """Detectors write into samples: RPN the labels, others their predictions."""
    return {**images, 'data_samples': copy.deepcopy(images['data_samples'])}


def _prediction(sample: Any) -> Any:
    """A sample without its annotations, whose masks may be large."""
    if 'pred_instances' not in sample:
        raise ConfigError(
            f'The detector expected to predict instances (pred_instances), but gave {", ".join(sample.keys())}. Of a '
            'panoptic one, set model.test_cfg.instance_on=True, if it has that.'
        )
    prediction = type(sample)(metainfo=sample.metainfo)
    prediction.pred_instances = sample.pred_instances.cpu()
    return prediction


def _results(losses: list[_Losses], predictions: list[Any]) -> list[ImageResult]:
    objects = [None if one.objects is None else one.objects.float().cpu().numpy() for one in losses]
    return [ImageResult(*each) for each in zip(_floats(losses), objects, predictions, strict=True)]


def _floats(losses: list[_Losses]) -> list[dict[str, float]]:
    """Numbers of the terms of images, brought from the device in one step."""
    values = iter(torch.stack([value.float() for one in losses for value in one.terms.values()]).tolist())
    return [{name: next(values) for name in one.terms} for one in losses]
