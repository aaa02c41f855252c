"""What a run was made with: versions of the libraries, and of the code that called them."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Distributions, by the name under which they are imported; the first that is installed counts.
_LIBRARIES = {
    'deeplake': ('deeplake',),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'numpy': ('numpy',),
    'opencv': ('opencv-python', 'opencv-python-headless'),
    'pycocotools': ('pycocotools',),
}
_PATIENCE = 10  # seconds for git


def environment(config_file: str | None) -> dict[str, Any]:
    """Versions of libraries and code.

    Args:
        config_file: The run's config; the repository that it is in, or else the current folder's, is the user's code.

    Returns:
        ``libraries`` (name to version, ``python`` and ``cuda`` too) and ``code``: ``version`` of this package, and
        ``commit`` and ``dirty`` of the user's repository, None where there is none.
    """
    import torch

    from deeplake_mmdet import __version__

    libraries = {name: found for name, names in _LIBRARIES.items() if (found := _installed(names))}
    libraries['torch'] = str(torch.__version__)  # the build too, which the installed package may not name
    libraries |= {'python': platform.python_version(), 'cuda': str(torch.version.cuda or '')}
    folder = Path(config_file).resolve().parent if config_file and os.path.isfile(config_file) else Path.cwd()
    return {'libraries': libraries, 'code': {'version': __version__, **_repository(folder)}}


def _installed(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _repository(folder: Path) -> dict[str, Any]:
    """The commit that is checked out, and whether tracked files were changed since."""
    commit = _git(folder, 'rev-parse', 'HEAD')
    changed = None if commit is None else _git(folder, 'status', '--porcelain', '--untracked-files=no')
    return {'commit': commit, 'dirty': None if changed is None else bool(changed)}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None where it says nothing, or there is none."""
    command = ['git', '-c', 'core.fsmonitor=false', '--no-optional-locks', '-C', str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
