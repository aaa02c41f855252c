"""What is wrong with a detection, and what with an object: the kinds of TIDE.

D. Bolya, S. Foley, J. Hays, J. Hoffman: "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020.
A detection that found no object has the first of these kinds that fits, in the order in which the authors' toolbox
tries them; t_f is the IoU from which on an object is found, t_b = 0.1 that below which there is only background:

1. localisation: its largest IoU with an object of its class is in [t_b, t_f);
2. class: it overlaps an object of another class by t_f or more;
3. duplicate: it overlaps an object of its class by t_f or more, which a detection of higher score found;
4. both: its largest IoU with an object of another class is in [t_b, t_f);
5. background: it overlaps nothing by t_b.

An object that nothing found is missed unless a localisation or class error is about it: then the detection was there,
and the object has that kind. In TIDE's toolbox an IoU of exactly t_b in the fourth case is background, and one of
exactly t_f in the first is localisation; here intervals are half open: what could be found is never of the first kind.
"""

from __future__ import annotations

import numpy as np

from deeplake_mmdet.metrics.matching import NEITHER, TRUE_POSITIVE, Matching
from deeplake_mmdet.scoring.best_overlaps import BestOverlaps, best_of_each
from deeplake_mmdet.scoring.columns import ERRORS

BACKGROUND_IOU = 0.1
CORRECT, MISSED, BACKGROUND, LOCALISATION, CLASS, DUPLICATE, BOTH, NOT_COUNTED = range(len(ERRORS))


def detection_kinds(matching: Matching, overlaps: BestOverlaps, iou_thr: float) -> np.ndarray:
    """What is wrong with each detection, whatever its score, as positions in `ERRORS`, int32 (D,).

    Those of lower score change nothing about a detection, so the kinds hold for every score threshold. Detections that
    took a crowd region are ``not counted``.

    Args:
        matching: Who found whom, within the classes.
        overlaps: With all objects.
        iou_thr: IoU from which on an object is found, as in `matching`.
    """
    enough = min(iou_thr, 1 - 1e-10)
    kinds = np.select(
        [
            matching.kinds == TRUE_POSITIVE,
            matching.kinds == NEITHER,
            (overlaps.own >= BACKGROUND_IOU) & (overlaps.own < enough),
            overlaps.other >= enough,
            overlaps.own >= enough,
            overlaps.other >= BACKGROUND_IOU,
        ],
        [CORRECT, NOT_COUNTED, LOCALISATION, CLASS, DUPLICATE, BOTH],
        BACKGROUND,
    )
    return kinds.astype(np.int32)


def object_kinds(
    matching: Matching, overlaps: BestOverlaps, kinds: np.ndarray, shown: np.ndarray, found: np.ndarray
) -> np.ndarray:
    """What went wrong with each object, as positions in `ERRORS`, int32 (M,): correct, missed, localisation or class.

    Where several detections have an error with an object, the best-scored one decides. Crowd regions are ``not
    counted``.

    Args:
        matching: Who found whom, within the classes.
        overlaps: With all objects.
        kinds: What is wrong with each detection, (D,).
        shown: Detections whose score is high enough, bool (D,).
        found: Objects that one of those found, bool (M,).
    """
    missed = matching.counted & ~found
    result = np.select([~matching.counted, found], [NOT_COUNTED, CORRECT], MISSED).astype(np.int32)
    about = np.where(kinds == CLASS, overlaps.other_object, overlaps.own_object)
    wrong = np.flatnonzero(shown & ((kinds == CLASS) | (kinds == LOCALISATION)))
    wrong = wrong[missed[about[wrong]]]
    wrong = wrong[best_of_each(about[wrong], matching.scores[wrong])]
    result[about[wrong]] = kinds[wrong]
    return result
