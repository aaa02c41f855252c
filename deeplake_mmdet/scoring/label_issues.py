"""How likely each image has a wrong annotation, of four kinds, judged by what a detector sees.

The method is ObjectLab's (U. Tkachenko, A. Thyagarajan, J. Mueller: "ObjectLab: Automated Diagnosis of Mislabeled
Images in Object Detection Data", arXiv 2309.00832): each box gets a score for each kind of fault from its similarity
with the boxes of the other side, a softmax of temperature 0.1 pools the boxes of an image so that the worst one counts,
and the kinds are multiplied. Its kinds are swapped labels (`wrong_class`), overlooked objects (`missing_box`) and badly
located boxes (`badly_placed_box`). The fourth, `spurious_box`, is the spawned label of M. Schubert, T. Riedlinger,
K. Kahl, D. Kröll, S. Schoenen, S. Šegvić, M. Rottmann: "Identifying Label Errors in Object Detection Datasets by Loss
Inspection", WACV 2024 (arXiv 2303.06999), scored and pooled in the same way.

It differs from ObjectLab in this:

- scores weigh continuously; ObjectLab trusts a detection from 0.95 or 0.5 on, which few detectors reach on little data;
- a detection speaks of the one object that it is most like (see `similarity`), so that neighbours are not mixed up;
- of a swapped label, what speaks for the annotated class counts against what speaks for another;
- an annotation that nothing confirms is suspicious by half at most: as often, it is the detector that missed an object;
- the result is one minus the product of the kinds' qualities and not their geometric mean. Images rank alike, and it is
  never below the suspicion of a single kind.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.metrics.box_pairs import pairs_in_groups
from deeplake_mmdet.metrics.detections import Detections
from deeplake_mmdet.metrics.ground_truth import GroundTruth
from deeplake_mmdet.metrics.overlaps import BoxOverlaps
from deeplake_mmdet.scoring.best_overlaps import best_of_each
from deeplake_mmdet.scoring.columns import SUSPICIONS
from deeplake_mmdet.scoring.errors import check_same_images
from deeplake_mmdet.scoring.similarity import Likeness

_UNCONFIRMED = 0.5  # suspicion of an annotated box at whose place nothing is detected
_LEAST_SCORE = 0.1  # a detector that gives a few hundred boxes an image, whatever it sees, means nothing by most


def suspicions(
    truth: GroundTruth, detections: Detections, *, sure_score: float = 0.3, temperature: float = 0.1
) -> dict[str, np.ndarray]:
    """Rank images by how likely an annotation is wrong. Crowd regions, and what lies in them, are no matter.

    Args:
        truth: The annotations of N images.
        detections: The detections of the same images in the same order, those of low score included: a weak one at the
            place of an object is a sign that the object is there.
        sure_score: Score from which on a detection confirms that something is at its place, above 0 to 1.
        temperature: Of the pooling: near 0 the worst box of an image counts alone, far above 1 the mean.

    Returns:
        ``suspicion``, of any kind, and ``suspicion_KIND`` for each of `SUSPICIONS`; each float32 (N,), from 0 for an
        image in which nothing speaks against the annotations to 1.

    Raises:
        ConfigError: A number is out of range.
        AnnotationError: The images differ, or a detection has a class that the run has not.
    """
    if not (0 < sure_score <= 1 and temperature > 0):
        raise ConfigError(
            'suspicions(sure_score=, temperature=) expected a score above 0 up to 1 and a temperature above 0, but got '
            f'{sure_score!r} and {temperature!r}. Leave them out, or pass such numbers.'
        )
    check_same_images('suspicions', truth, detections)
    scores = detections.scores.astype(np.float64)
    certainty = np.minimum(scores / sure_score, 1)
    likeness = Likeness.of(truth, detections, certainty)
    partner = _partners(len(truth.labels), scores * likeness.nearest, likeness.owner)
    pooled = {}
    for kind, values in _of_objects(truth, detections, likeness, certainty, partner).items():
        judged = ~truth.crowd
        pooled[kind] = _pooled(values[judged], truth.image_of[judged], len(truth), temperature)
    missing = scores * (1 - likeness.nearest)
    missing[partner[partner >= 0]] = 0
    judged = (scores >= _LEAST_SCORE) & ~_in_crowd(truth, detections)
    pooled['missing_box'] = _pooled(missing[judged], detections.image_of[judged], len(truth), temperature)
    quality = np.prod([1 - pooled[kind] for kind in SUSPICIONS], axis=0)
    named = {'suspicion': 1 - quality} | {f'suspicion_{kind}': pooled[kind] for kind in SUSPICIONS}
    return {name: values.astype(np.float32) for name, values in named.items()}


def _of_objects(
    truth: GroundTruth, detections: Detections, likeness: Likeness, certainty: np.ndarray, partner: np.ndarray
) -> dict[str, np.ndarray]:
    """The suspicions of each object, by kind, float64 (M,) each.

    Args:
        truth: The annotations of N images.
        detections: The detections of the same images.
        likeness: Which detection belongs to which object.
        certainty: How far each detection is to be trusted, (D,) from 0 to 1.
        partner: The detection that speaks most for each object, int64 (M,); -1 for none.
    """
    confirmed = np.where(partner >= 0, _of_partner(certainty, partner), likeness.support)
    return {
        'wrong_class': _wrong_class(truth, detections, likeness, certainty),
        'spurious_box': _UNCONFIRMED * (1 - confirmed),
        'badly_placed_box': _of_partner(certainty * (1 - likeness.nearest), partner),
    }


def _partners(objects: int, evidence: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The detection that speaks most for each object, int64 (objects,); -1 for none.

    Args:
        objects: Their number.
        evidence: How much each detection says, (D,).
        owner: The object that each belongs to, int64 (D,); -1 for none.
    """
    partner = np.full(objects, -1, np.int64)
    belonging = np.flatnonzero(owner >= 0)
    best = belonging[best_of_each(owner[belonging], evidence[belonging])]
    partner[owner[best]] = best
    return partner


def _of_partner(values: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """The value of each object's partner, float64 (M,); 0 without one."""
    result = np.zeros(len(partner))
    result[partner >= 0] = values[partner[partner >= 0]]
    return result


def _wrong_class(truth: GroundTruth, detections: Detections, likeness: Likeness, certainty: np.ndarray) -> np.ndarray:
    """How surely there is another class at the place of each object and not its own, float64 (M,).

    The certainty of the detections of other classes, times the square of their share of the evidence: where two classes
    are equally likely, which happens to a detector more often than to an annotator, a quarter is left.
    """
    belonging = np.flatnonzero(likeness.owner >= 0)
    owner = likeness.owner[belonging]
    same = detections.labels[belonging] == truth.labels[owner]
    own, other, sure = np.zeros((3, len(truth.labels)))
    alike = likeness.nearest[belonging]
    evidence = detections.scores[belonging] * alike
    np.maximum.at(own, owner[same], evidence[same])
    np.maximum.at(other, owner[~same], evidence[~same])
    np.maximum.at(sure, owner[~same], (certainty[belonging] * alike)[~same])
    share = np.divide(other, own + other, out=np.zeros_like(own), where=other > 0)
    return sure * share**2


def _in_crowd(truth: GroundTruth, detections: Detections) -> np.ndarray:
    """Detections that lie in a crowd region by half or more, bool (D,)."""
    inside = np.zeros(len(detections.boxes), bool)
    crowds = np.flatnonzero(truth.crowd)
    compare = BoxOverlaps(truth, detections, truth.crowd)
    for d, place in pairs_in_groups(detections.image_of, truth.image_of[crowds]):
        inside[d[compare(d, crowds[place]) >= 0.5]] = True
    return inside


def _pooled(values: np.ndarray, image_of: np.ndarray, images: int, temperature: float) -> np.ndarray:
    """Mean of the values of each image, each weighted by exp(value / temperature), float64 (images,); 0 of none."""
    largest = np.zeros(images)
    np.maximum.at(largest, image_of, values)
    weights = np.exp((values - largest[image_of]) / temperature)
    sums, totals = (np.bincount(image_of, w, minlength=images) for w in (weights * values, weights))
    return np.divide(sums, totals, out=np.zeros(images), where=totals > 0)
