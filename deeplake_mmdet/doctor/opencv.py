"""OpenCV comes in several distributions that share the folder ``cv2``; the plain one needs libraries of a desktop."""

from __future__ import annotations

from deeplake_mmdet.doctor.environment import Environment, Probe
from deeplake_mmdet.doctor.finding import PROBLEM, Finding

OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless')
_DESKTOP_LIBRARIES = ('libGL', 'libglib', 'libgthread')


def check_opencv_versions(env: Environment) -> list[Finding]:
    """The distributions of OpenCV, which share the folder ``cv2``, are at one version."""
    there = {name: env.distributions[name] for name in OPENCV if name in env.distributions}
    if len(set(there.values())) < 2:
        return []
    # The lower one: image libraries in this stack bound OpenCV from above.
    version = min(there.values(), key=lambda value: tuple(int(part) for part in value.split('.') if part.isdigit()))
    pins = ' '.join(f'{name}=={version}' for name in there)
    text = (
        f'{" and ".join(f"{name} {value}" for name, value in there.items())} share one folder and must be one version'
    )
    return [Finding(PROBLEM, 'cv2', text, (f'{env.pip} install --force-reinstall --no-deps {pins}',))]


def misses_libraries(probe: Probe) -> bool:
    """Whether an import failed for want of libraries that a server does not have."""
    return any(library in probe.error for library in _DESKTOP_LIBRARIES)


def mend_libraries(env: Environment) -> tuple[str, ...]:
    """Bring the libraries in, or do with the OpenCV that needs none of them."""
    version = env.version('cv2', 'opencv-python-headless', 'opencv-python')
    headless = f'opencv-python-headless=={version}' if version else 'opencv-python-headless'
    return (
        'apt-get install -y libgl1 libglib2.0-0',
        f'{env.pip} uninstall -y opencv-python && {env.pip} install --force-reinstall --no-deps {headless}',
    )
