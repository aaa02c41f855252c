"""What can be wrong with an environment: one pure function a check, from a snapshot to findings.

``environment`` takes the snapshot, ``packages``, ``operators``, ``opencv`` and ``machine`` judge it, ``remedies`` knows
the commands that mend it.
"""

from __future__ import annotations

from collections.abc import Callable

from deeplake_mmdet.doctor import machine, opencv, operators, packages
from deeplake_mmdet.doctor.environment import Environment
from deeplake_mmdet.doctor.finding import Finding

# In the order in which what they find is best dealt with.
CHECKS: tuple[Callable[[Environment], list[Finding]], ...] = (
    packages.check_python,
    packages.check_rivals,
    opencv.check_opencv_versions,
    packages.check_packages,
    packages.check_pair,
    packages.check_pkg_resources,
    operators.check_operators,
    operators.check_gpu_operators,
    machine.check_temp,
    machine.check_model_cache,
    machine.check_shared_memory,
    machine.check_fs_cache,
    machine.note_telemetry,
)


def diagnose(env: Environment) -> list[Finding]:
    """All findings about `env`."""
    return [finding for check in CHECKS for finding in check(env)]
