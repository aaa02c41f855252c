"""A bitmap as COCO polygons that rasterise to exactly its pixels.

The rings follow the edges of the pixels, so no rasteriser has anything to round. COCO fills the union of an instance's
rings and knows no holes: a region with a hole is cut through the hole, into pieces that have none.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

_RIGHT_TURN = {(1, 0): (0, 1), (0, 1): (-1, 0), (-1, 0): (0, -1), (0, -1): (1, 0)}


def mask_to_rings(mask: np.ndarray) -> list[list[int]]:
    """The rings of a bitmap.

    Args:
        mask: (H, W), bool or uint8; what is not 0 belongs to the instance.

    Returns:
        Rings ``[x, y, x, y, …]`` in pixels, disjoint inside; an empty list for an empty bitmap.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return []
    left, top = int(columns[0]), int(rows[0])
    crop = np.ascontiguousarray(mask[top : rows[-1] + 1, left : columns[-1] + 1] != 0, dtype=np.uint8)
    return [_outline(piece, corner) for piece, corner in _pieces(crop, (left, top))]


def _pieces(mask: np.ndarray, corner: tuple[int, int]) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Connected pieces without holes, each cropped, with the x and y of its crop."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    for label in range(1, count):
        left, top, width, height = stats[label, :4].tolist()
        piece = (labels[top : top + height, left : left + width] == label).astype(np.uint8)
        at = (corner[0] + left, corner[1] + top)
        cut = _hole_column(piece)
        if cut is None:
            yield piece, at
        else:
            yield from _pieces(np.ascontiguousarray(piece[:, :cut]), at)
            yield from _pieces(np.ascontiguousarray(piece[:, cut:]), (at[0] + cut, at[1]))


def _hole_column(piece: np.ndarray) -> int | None:
    """A column through the middle of a hole, at least 1; None when there is no hole."""
    background = np.pad(1 - piece, 1, constant_values=1)  # the outside is label 1: it holds the first pixel
    count, _, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
    if count <= 2:
        return None
    left, width = stats[2, cv2.CC_STAT_LEFT] - 1, stats[2, cv2.CC_STAT_WIDTH]
    return int(left + (width + 1) // 2)


def _outline(piece: np.ndarray, corner: tuple[int, int]) -> list[int]:
    """The corners of the outline of a piece, clockwise, by walking along its edges with the piece on the right."""
    edges = _edges(piece)
    start = point = (int(np.argmax(piece[0])), 0)
    heading, ring = (1, 0), list[int]()
    while True:
        ring += [point[0] + corner[0], point[1] + corner[1]]
        point = (point[0] + heading[0], point[1] + heading[1])
        while heading in edges[point]:
            point = (point[0] + heading[0], point[1] + heading[1])
        if point == start:
            return ring
        ways = edges[point]  # two where pixels touch at a corner only: the right turn stays at the same pixel
        heading = _RIGHT_TURN[heading] if _RIGHT_TURN[heading] in ways else ways[0]


def _edges(piece: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """For each corner of a pixel on the outline, the headings of the edges that leave it."""
    padded = np.pad(piece, 1).astype(bool)
    inside = padded[1:-1, 1:-1]
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    )
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbour, (dx, dy), heading in sides:
        for y, x in np.argwhere(inside & ~neighbour).tolist():
            edges.setdefault((x + dx, y + dy), []).append(heading)
    return edges
