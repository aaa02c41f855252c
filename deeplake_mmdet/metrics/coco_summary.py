"""The numbers that COCO reads off its curves of precision and recall.

They are those of pycocotools' ``summarize``, whichever engine accumulated the curves, bit for bit: a mean depends on
the order of its terms, so classes are averaged in the order of their category ids, as pycocotools keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeplake_mmdet.metrics.evaluation import Curves

AREAS = {'all': '', 'small': '_s', 'medium': '_m', 'large': '_l'}
_CUSTOMARY = 100  # detections of an image that count for the mAP


def item_names(max_dets: Sequence[int]) -> list[str]:
    """The names of all numbers: of six precisions, then of recalls at each number of detections, then by area."""
    precisions = ['mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']
    by_area = [f'AR{area}@{max_dets[-1]}' for area in AREAS.values() if area]
    return precisions + [f'AR@{number}' for number in max_dets] + by_area


def summarize(curves: Curves, category_ids: Sequence[int]) -> dict[str, float]:
    """All numbers by name; -1 where there is nothing to find.

    The mAP counts 100 detections an image (the highest number, where 100 is not among ``proposal_nums``), the other
    precisions the highest number.

    Args:
        curves: What an engine accumulated.
        category_ids: Original category id of each class.
    """
    order = np.argsort(category_ids, kind='stable') if curves.recall.shape[1] == len(category_ids) else [0]
    precision, recall = curves.precision[:, :, order], curves.recall[:, order]
    last, areas = len(curves.max_dets) - 1, range(1, len(AREAS))
    usual = curves.max_dets.index(_CUSTOMARY) if _CUSTOMARY in curves.max_dets else last
    numbers = [_mean(precision[:, :, :, 0, usual])]
    numbers += [_mean(precision[curves.iou_thrs == iou][:, :, :, 0, last]) for iou in (0.5, 0.75)]
    numbers += [_mean(precision[:, :, :, area, last]) for area in areas]
    numbers += [_mean(recall[:, :, 0, number]) for number in range(last + 1)]
    numbers += [_mean(recall[:, :, area, last]) for area in areas]
    return dict(zip(item_names(curves.max_dets), numbers, strict=True))


def per_class(curves: Curves) -> dict[str, np.ndarray]:
    """The six precisions of each class, at the highest number of detections; NaN for a class without an object.

    Returns:
        ``mAP``, ``mAP_50``, ``mAP_75``, ``mAP_s``, ``mAP_m`` and ``mAP_l``, each float64 (K,).
    """
    last = curves.precision[..., -1]
    parts = {'mAP': last[:, :, :, 0]}
    parts |= {f'mAP_{iou * 100:.0f}': last[curves.iou_thrs == iou][:, :, :, 0] for iou in (0.5, 0.75)}
    parts |= {f'mAP{suffix}': last[:, :, :, area] for area, suffix in enumerate(AREAS.values()) if suffix}
    return {name: np.array([_or_nan(part[:, :, k]) for k in range(part.shape[2])]) for name, part in parts.items()}


def summary_lines(numbers: dict[str, float], iou_thrs: np.ndarray, max_dets: Sequence[int]) -> list[str]:
    """The table that pycocotools prints, a line a number."""
    usual = _CUSTOMARY if _CUSTOMARY in max_dets else max_dets[-1]
    span = f'{iou_thrs[0]:.2f}:{iou_thrs[-1]:.2f}' if len(iou_thrs) > 1 else f'{iou_thrs[0]:.2f}'
    about = [(span, 'all', usual), ('0.50', 'all', max_dets[-1]), ('0.75', 'all', max_dets[-1])]
    by_area = [(span, area, max_dets[-1]) for area in AREAS if area != 'all']
    about += by_area + [(span, 'all', number) for number in max_dets] + by_area
    return [
        f' Average {"Precision  (AP)" if name.startswith("mAP") else "Recall     (AR)"} '
        f'@[ IoU={iou:<9} | area={area:>6} | maxDets={number:>3} ] = {value:0.3f}'
        for (name, value), (iou, area, number) in zip(numbers.items(), about, strict=True)
    ]


def _mean(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else -1.0


def _or_nan(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else float('nan')
