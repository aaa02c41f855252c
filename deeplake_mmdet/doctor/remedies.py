"""The commands that bring a package in: which distribution, which version, and how mmcv is compiled.

There are two stacks with the same modules: OpenMMLab's own (mmdet, mmcv, mmengine) and the maintained onedl-* ones. An
environment that holds the first is mended with the first.
"""

from __future__ import annotations

from deeplake_mmdet.doctor.environment import Environment

_ONEDL = {'mmengine': 'onedl-mmengine', 'mmcv': 'onedl-mmcv', 'mmdet': 'onedl-mmdetection'}
# What the last mmdet of OpenMMLab, 3.3.0, accepts.
_OPENMMLAB_BOUNDS = {'mmengine': ('0.7.1', '1.0.0'), 'mmcv': ('2.0.0rc4', '2.2.0'), 'mmdet': ('3.0.0', '4.0.0')}
_ONEDL_MINIMUM = {'mmengine': '0.10.8', 'mmcv': '2.3.4', 'mmdet': '3.5'}


def requirement(env: Environment, module: str, minimum: str = '', distribution: str = '') -> str:
    """What to ask pip for: the version that is there, or one that fits the mmdet that is there.

    Args:
        env: The environment that is to be mended.
        module: The module that is wanted.
        minimum: The oldest version that works; without it, the version that is installed is kept.
        distribution: What installs `module`, for modules outside of the mm stacks.
    """
    if module not in _ONEDL:
        return f'{distribution or module}>={minimum}' if minimum else distribution or module
    if is_openmmlab(env):
        low, high = _OPENMMLAB_BOUNDS[module]
        return f'{module}>={low},<{high}'
    name = _ONEDL[module]
    if name in env.distributions and not minimum:
        return f'{name}=={env.distributions[name]}'
    return f'{name}>={_ONEDL_MINIMUM[module]}'


def install(env: Environment, module: str, wanted: str) -> str:
    """The command that installs the requirement `wanted`; mmcv is compiled against the torch that is there."""
    if module != 'mmcv':
        return f"{env.pip} install '{wanted}'"
    # OpenMMLab's setup.py imports pkg_resources, which setuptools 81 dropped.
    tools = "'setuptools>=80'" if wanted.startswith('onedl-') else "'setuptools<81'"
    name = wanted.partition('>')[0].partition('=')[0]
    return (
        f'{env.pip} install ninja psutil wheel {tools} && MMCV_WITH_OPS=1 {env.pip} install --no-build-isolation '
        f"--no-deps --no-cache-dir --force-reinstall --no-binary {name} '{wanted}'"
    )


def is_openmmlab(env: Environment) -> bool:
    """Whether the environment holds OpenMMLab's own packages; mmdet decides where both kinds are there."""
    if 'mmdet' in env.distributions or 'onedl-mmdetection' in env.distributions:
        return 'onedl-mmdetection' not in env.distributions
    there = env.distributions.keys()
    return bool(there & {'mmcv', 'mmengine'}) and not there & {'onedl-mmcv', 'onedl-mmengine'}
