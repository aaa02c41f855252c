"""Are the compiled operators of mmcv there, and made for the torch and the device that are there?"""

from __future__ import annotations

from deeplake_mmdet.doctor.environment import Environment
from deeplake_mmdet.doctor.finding import OK, PROBLEM, Finding
from deeplake_mmdet.doctor.remedies import install, requirement


def check_operators(env: Environment) -> list[Finding]:
    """mmcv has its compiled operators, made for the installed torch."""
    probe = env.probes['mmcv._ext']
    if probe.imported:
        return [Finding(OK, 'mmcv._ext', 'the operators are compiled')]
    if not env.probes['mmcv'].imported or not env.probes['torch'].imported:
        return []
    lite = [name for name in env.distributions if name.endswith('mmcv-lite')]
    why = f'{lite[0]} is installed, which has none' if lite else probe.error
    command = install(env, 'mmcv', requirement(env, 'mmcv'))
    if lite:
        command = f'{env.pip} uninstall -y {lite[0]} && {command}'
    return [Finding(PROBLEM, 'mmcv._ext', f'the compiled operators of mmcv are missing: {why}', (command,))]


def check_gpu_operators(env: Environment) -> list[Finding]:
    """Where torch has a CUDA device, mmcv's operators are compiled for CUDA."""
    devices, operators = env.probes['torch'].facts.get('devices'), env.probes['mmcv._ext']
    if not devices or not operators.imported or operators.facts.get('cuda') != 'not available':
        return []
    text = f'torch sees {devices[0]}, but mmcv is compiled for the CPU only; install nvcc, then compile it'
    return [Finding(PROBLEM, 'mmcv._ext', text, (install(env, 'mmcv', requirement(env, 'mmcv')),))]
