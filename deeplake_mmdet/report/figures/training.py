"""The course of a training: losses, learning rate, and the metrics of each validation."""

from __future__ import annotations

from collections.abc import Mapping

from deeplake_mmdet.report.figures.picture import Picture, label, legend, new_axes, plain
from deeplake_mmdet.report.training_log import Series, TrainingLog

_MOST = 10  # lines of one picture


def training_pictures(log: TrainingLog) -> list[Picture]:
    """A picture of each kind of value that the log holds."""
    found = []
    for name, title, series, unit in (
        ('losses', 'Losses', log.losses, 'iteration'),
        ('metrics', 'Metrics of the validations', log.metrics, log.validation_unit),
        ('learning_rate', 'Learning rate', log.rates, 'iteration'),
    ):
        if series:
            found.append(_picture(name, title, series, unit))
    return found


def _picture(name: str, title: str, series: Mapping[str, Series], unit: str) -> Picture:
    figure, axes = new_axes()
    for key, (steps, values) in list(series.items())[:_MOST]:
        marker = 'o' if len(steps) < 40 else None
        axes.plot(steps, values, linewidth=1.3, marker=marker, markersize=3, label=plain(key, 30))
    label(axes, unit, 'value' if name == 'metrics' else title.lower())
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]) if name == 'losses' else 0)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(series) > 1:
        legend(axes, loc='best')
    last = ', '.join(f'{key} {values[-1]:.4g}' for key, (_, values) in list(series.items())[:_MOST])
    left_out = f' {len(series) - _MOST} more are not drawn.' if len(series) > _MOST else ''
    return Picture(name, title, f'Last values: {last}.{left_out}', figure)
