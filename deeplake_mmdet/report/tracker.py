"""The pictures of a report for experiment trackers, which MMEngine knows as backends of the visualizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deeplake_mmdet.report.figures.picture import Picture


def send(visualizer: Any, pictures: Iterable[Picture], prefix: str, step: int) -> None:
    """Add the pictures to each tracker.

    Args:
        visualizer: An `mmengine.visualization.Visualizer`. Its local backend is left out: it would write a second copy
            beside the page.
        pictures: The pictures.
        prefix: Put before their names.
        step: Epoch or iteration.
    """
    from mmengine.visualization import LocalVisBackend

    trackers = {
        name: backend for name, backend in visualizer._vis_backends.items() if not isinstance(backend, LocalVisBackend)
    }
    for picture in pictures if trackers else ():
        image = picture.rgb()
        for backend in trackers.values():
            backend.add_image(_name(backend, f'{prefix}/{picture.name}', step), image, step)


def _name(backend: Any, name: str, step: int) -> str:
    """MLflow takes the name for that of a file: its ending is the format, and it has no step."""
    return f'{name}_{step}.png' if type(backend).__name__ == 'MLflowVisBackend' else name
