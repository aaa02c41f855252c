"""Are the packages there, new enough, importable, and compatible with each other?

A package that fails only because another one does is passed over: what is listed is what has to be done.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from deeplake_mmdet.doctor.environment import Environment
from deeplake_mmdet.doctor.finding import OK, PROBLEM, Finding
from deeplake_mmdet.doctor.opencv import mend_libraries, misses_libraries
from deeplake_mmdet.doctor.remedies import install, is_openmmlab, requirement


@dataclass(frozen=True)
class Package:
    """A module that is needed.

    Attributes:
        module: The name it is imported by.
        distributions: The names it may be installed by; the first is the one to install.
        minimum: The oldest version that works.
        needs: Modules without which it cannot be imported.
    """

    module: str
    distributions: tuple[str, ...]
    minimum: str
    needs: tuple[str, ...] = ()


PACKAGES = (
    Package('numpy', ('numpy',), '1.22'),
    Package('torch', ('torch',), '2.0'),
    Package('cv2', ('opencv-python-headless', 'opencv-python'), '4.5', ('numpy',)),
    Package('pycocotools.mask', ('pycocotools',), '2.0', ('numpy',)),
    Package('deeplake', ('deeplake',), '4.7', ('numpy',)),
    Package('mmengine', ('onedl-mmengine', 'mmengine'), '0.7.1', ('numpy', 'torch')),
    Package('mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'onedl-mmcv-lite'), '2.0.0rc4', ('numpy', 'cv2', 'mmengine')),
    Package('mmdet', ('onedl-mmdetection', 'mmdet'), '3.0', ('mmengine', 'mmcv')),
)

# Two distributions that install the same module overwrite each other's files.
RIVALS = (
    ('mmengine', 'onedl-mmengine'),
    ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv', 'onedl-mmcv-lite'),
    ('mmdet', 'onedl-mmdetection'),
)


def check_python(env: Environment) -> list[Finding]:
    """The interpreter is new enough."""
    version = '.'.join(map(str, env.python))
    if env.python < (3, 10):
        text = f'{version} is too old; 3.10 or newer is needed'
        return [Finding(PROBLEM, 'Python', text, ('python3.12 -m venv .venv && . .venv/bin/activate',))]
    return [Finding(OK, 'Python', version)]


def check_rivals(env: Environment) -> list[Finding]:
    """No two distributions that install the same module are there at once."""
    findings = []
    for names in RIVALS:
        there = [name for name in names if name in env.distributions]
        if len(there) > 1:
            remove = f'{env.pip} uninstall -y {" ".join(there)}'
            text = f'{" and ".join(there)} are installed at once and overwrite each other'
            keep = requirement(env, names[0])
            findings.append(Finding(PROBLEM, names[0], text, (f'{remove} && {install(env, names[0], keep)}',)))
    return findings


def check_packages(env: Environment) -> list[Finding]:
    """Every package that is needed can be imported and is new enough."""
    findings = [_check_package(env, package) for package in PACKAGES]
    return [finding for finding in findings if finding is not None]


def _check_package(env: Environment, package: Package) -> Finding | None:
    module, probe = package.module, env.probes[package.module]
    version = env.version(module, *package.distributions)
    if env.absent(module):
        return Finding(PROBLEM, module, 'is not installed', (install(env, module, _wanted(env, package)),))
    if version is not None and _older(version, package.minimum):
        text = f'{version} is too old; {package.minimum} or newer is needed'
        return Finding(PROBLEM, module, text, (install(env, module, _wanted(env, package)),))
    if probe.imported:
        return Finding(OK, module, version or 'installed')
    if any(not env.probes[name].imported for name in package.needs) or (module == 'mmdet' and check_pair(env)):
        return None
    return Finding(PROBLEM, module, f'cannot be imported: {probe.error}', _mend_import(env, package))


def _wanted(env: Environment, package: Package) -> str:
    return requirement(env, package.module, package.minimum, package.distributions[0])


def _mend_import(env: Environment, package: Package) -> tuple[str, ...]:
    probe = env.probes[package.module]
    if misses_libraries(probe):
        return mend_libraries(env)
    if 'NumPy 1.x' in probe.error or 'numpy.core.multiarray' in probe.error:
        return (f"{env.pip} install 'numpy<2'",)
    missing = (probe.missing or '').partition('.')[0]
    if missing and missing != package.module.partition('.')[0]:
        return (f"{env.pip} install '{_DISTRIBUTION_OF.get(missing, missing)}'",)
    if package.module == 'mmcv':
        return (install(env, 'mmcv', requirement(env, 'mmcv')),)
    name = next((name for name in package.distributions if name in env.distributions), package.distributions[0])
    version = env.distributions.get(name, '').partition('+')[0]
    alone = '' if package.module == 'torch' else '--no-deps '  # torch's CUDA libraries are distributions of their own
    return (f'{env.pip} install --force-reinstall {alone}{name}{f"=={version}" if version else ""}',)


# Distributions that are not called what they are imported by.
_DISTRIBUTION_OF = {
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'pkg_resources': 'setuptools<81',
    'skimage': 'scikit-image',
    'yaml': 'pyyaml',
}


def check_pair(env: Environment) -> list[Finding]:
    """The installed mmdet accepts the installed mmcv and mmengine."""
    findings = []
    for name, (low, high) in env.mmdet_bounds.items():
        other, version = f'onedl-{name}', env.version(name, f'onedl-{name}', name)
        if version is not None and (_older(version, low) or not _older(version, high)):
            text = (
                f'the installed mmdet {env.version("mmdet", "mmdet")} refuses {name} {version}: needs >={low},<{high}'
            )
            fixes = [install(env, name, f'{name}>={low},<{high}')]
            if other in env.distributions:
                fixes = [f'{env.pip} uninstall -y {other} && {fixes[0]}']
                fixes.append(f"{env.pip} uninstall -y mmdet && {env.pip} install 'onedl-mmdetection>=3.5'")
            findings.append(Finding(PROBLEM, 'mmdet', text, tuple(fixes)))
    return findings


def check_pkg_resources(env: Environment) -> list[Finding]:
    """OpenMMLab's mmengine finds the base configs ``mmdet::…`` by pkg_resources, which setuptools 81 dropped."""
    version = env.distributions.get('setuptools')
    if not is_openmmlab(env) or (version is not None and _older(version, '81')):
        return []
    found = f'setuptools {version} has' if version else 'setuptools is not installed, and Python itself has'
    text = f"{found} no pkg_resources, by which OpenMMLab's mmengine finds base configs such as mmdet::…"
    return [Finding(PROBLEM, 'setuptools', text, (f"{env.pip} install 'setuptools<81'",))]


def _older(version: str, than: str) -> bool:
    try:
        return Version(version) < Version(than)
    except InvalidVersion:
        return False
