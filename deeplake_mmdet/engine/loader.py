"""`build_dataloader`: batches of a Deep Lake dataset for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deeplake_mmdet.config.short_form.loader_options import apply_options, read_options
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.source.adopted import adopt

# Arguments of Deep Lake's own function that say what the Runner knows by itself.
_KNOWN_ANYWAY = ('dist', 'num_gpus', 'runner_type', 'metrics_format')


def build_dataloader(
    dataset: Any,
    images_tensor: str | None = None,
    masks_tensor: str | None = None,
    boxes_tensor: str | None = None,
    labels_tensor: str | None = None,
    pipeline: Sequence[Mapping[str, Any]] = (),
    mode: str = 'train',
    **loader_config: Any,
) -> Any:
    """A PyTorch dataloader over Deep Lake data.

    Args:
        dataset: An opened Deep Lake dataset or view, the path of one, a `DeepLakeDataset`, or the dict of one.
        images_tensor, masks_tensor, boxes_tensor, labels_tensor: Column names; those left out are found by type.
        pipeline: Transforms of MMDetection 3.
        mode: ``'train'``, ``'val'`` or ``'test'``. Only training shuffles, unless ``shuffle`` says otherwise.
        **loader_config: ``shuffle``, ``batch_size`` (or ``samples_per_gpu``), ``num_workers`` (or
            ``workers_per_gpu``), ``drop_last``, ``persistent_workers``, ``prefetch_factor``, ``pin_memory``, ``seed``.
            In a distributed run the sampler gives each rank its part.

    Returns:
        A ``torch.utils.data.DataLoader``. A batch is what MMDetection 3's models take: ``inputs``, a list of uint8
        tensors (3, H, W), and ``data_samples``, a list of `DetDataSample`.

    Raises:
        ConfigError: Unknown arguments, or a dataset of another kind.
    """
    if mode not in ('train', 'val', 'test'):
        raise ConfigError(f"build_dataloader(mode=) expected 'train', 'val' or 'test', but got {mode!r}.")
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    import deeplake_mmdet.datasets.deeplake_dataset  # noqa: F401  (registers the dataset)

    init_default_scope('mmdet')
    given = {key: value for key, value in loader_config.items() if key not in _KNOWN_ANYWAY}
    seed = given.pop('seed', None)
    tensors = {
        'img': images_tensor,
        'gt_masks': masks_tensor,
        'gt_bboxes': boxes_tensor,
        'gt_labels': labels_tensor,
    }
    loader = {
        'batch_size': 1,
        'num_workers': 0,
        'sampler': {'type': 'DefaultSampler', 'shuffle': mode == 'train'},
        'dataset': _dataset(dataset, {role: name for role, name in tensors.items() if name}, pipeline, mode),
    }
    apply_options(loader, read_options(given, 'build_dataloader'), mode)
    return Runner.build_dataloader(loader, seed=seed)


def _dataset(dataset: Any, tensors: dict[str, str], pipeline: Sequence[Mapping[str, Any]], mode: str) -> Any:
    from deeplake_mmdet.datasets.deeplake_dataset import DeepLakeDataset

    if isinstance(dataset, DeepLakeDataset):
        if tensors or pipeline:
            raise ConfigError(
                'build_dataloader(dataset=) got a DeepLakeDataset, which has its own tensors and pipeline.'
            )
        return dataset
    if isinstance(dataset, str):
        named: dict[str, Any] = {'deeplake_path': dataset}
    elif isinstance(dataset, Mapping):
        named = dict(dataset)
    else:
        named = adopt(dataset, tensors, argument='build_dataloader(dataset=)')
    if tensors:
        named['deeplake_tensors'] = tensors
    if pipeline:
        named['pipeline'] = list(pipeline)
    return {'type': 'DeepLakeDataset', 'test_mode': mode != 'train', **named}
