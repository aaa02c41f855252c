"""A snapshot of the running environment: what is installed, what can be imported, what the machine offers.

Each package is imported in a child process of its own with a time limit, because any of them may be absent, crash or
hang, and what is said about them must survive that. The children leave with ``os._exit``: importing deeplake would
otherwise report a session to its vendor for each look at the environment.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROBE_TIMEOUT_S = 90.0

# What is run after `import NAME`: a dict of facts in the variable `facts`.
_FACTS = {
    'numpy': '',
    'torch': (
        'c = module.cuda\n'
        'facts = dict(cuda=module.version.cuda, devices=[c.get_device_name(i) for i in range(c.device_count())])'
    ),
    'cv2': '',
    'pycocotools.mask': '',
    'deeplake': '',
    'mmengine': '',
    'mmcv': '',
    'mmcv._ext': 'facts = dict(cuda=module.get_compiling_cuda_version())',
    'mmdet': '',
}
MODULES = tuple(_FACTS)

_PROBE = """
import importlib, json, os, sys
sys.path = [entry for entry in sys.path if entry]
facts = {{}}
try:
    module = importlib.import_module({name!r})
    facts = {{}}
{facts}
    version = getattr(module, '__version__', None)
    result = dict(imported=True, version=version if version is None else str(version), facts=facts)
except BaseException as error:
    lines = str(error).strip().splitlines() or ['']
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    result = dict(imported=False, missing=missing, error=f'{{type(error).__name__}}: {{lines[0]}}')
print('\\n' + json.dumps(result), flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Probe:
    """What came of importing one module.

    Attributes:
        imported: Whether it could be imported.
        version: The module's own ``__version__``.
        missing: The module that was not found, when that was the reason: its own name, or a dependency's.
        error: One line that says what went wrong.
        facts: What the module said about itself (devices, the CUDA version it was compiled for).
    """

    imported: bool
    version: str | None = None
    missing: str | None = None
    error: str = ''
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Folder:
    """A folder that is written to: ``writable`` is the result of writing a file there, ``free_bytes`` what is left."""

    path: str
    writable: bool
    free_bytes: int = 0


@dataclass(frozen=True)
class Environment:
    """Everything that the doctor looks at.

    Attributes:
        python: The interpreter's version, as three numbers.
        platform: The operating system and the processor.
        pip: The command that installs into this environment.
        distributions: Versions of the installed distributions by normalised name (``onedl-mmcv``).
        probes: What came of importing each of :data:`MODULES`.
        mmdet_bounds: The versions that the installed mmdet insists on: name to (minimum, maximum), the latter excluded.
        temp: The temporary folder; ``None`` when there is none that can be written.
        model_cache: Where torch keeps downloaded checkpoints.
        shared_memory: ``/dev/shm``; ``None`` where a system has none.
        fs_cache: Deep Lake's disk cache, when ``DEEPLAKE_FS_CACHE_PATH`` is set.
        fs_cache_limit_mb: The value of ``DEEPLAKE_FS_CACHE_SIZE_MB``, as it is.
    """

    python: tuple[int, int, int]
    platform: str
    pip: str
    distributions: Mapping[str, str]
    probes: Mapping[str, Probe]
    mmdet_bounds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    temp: Folder | None = None
    model_cache: Folder | None = None
    shared_memory: Folder | None = None
    fs_cache: Folder | None = None
    fs_cache_limit_mb: str | None = None

    def version(self, module: str, *distributions: str) -> str | None:
        """The version of the first of `distributions` that is installed, else the one that `module` states itself."""
        for name in distributions or (module,):
            if name in self.distributions:
                return self.distributions[name]
        return self.probes[module].version

    def absent(self, module: str) -> bool:
        """Whether `module` is not there at all, as opposed to broken."""
        return self.probes[module].missing == module.partition('.')[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON."""
        return asdict(self)


def collect(timeout_s: float = PROBE_TIMEOUT_S) -> Environment:
    """Take the snapshot of the running environment; takes a few seconds, imports nothing into this process.

    Args:
        timeout_s: How long each import may take, in seconds.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        probes = dict(zip(MODULES, pool.map(lambda name: probe(name, timeout_s), MODULES), strict=True))
    cache_path = os.environ.get('DEEPLAKE_FS_CACHE_PATH')
    return Environment(
        python=sys.version_info[:3],
        platform=f'{platform.system()} {platform.machine()}',
        pip=_pip_command(),
        distributions=installed_distributions(),
        probes=probes,
        mmdet_bounds=mmdet_bounds(),
        temp=_temp_folder(),
        model_cache=look_at_folder(_torch_home()),
        shared_memory=look_at_folder('/dev/shm') if os.path.isdir('/dev/shm') else None,
        fs_cache=look_at_folder(cache_path) if cache_path else None,
        fs_cache_limit_mb=os.environ.get('DEEPLAKE_FS_CACHE_SIZE_MB'),
    )


def probe(module: str, timeout_s: float = PROBE_TIMEOUT_S) -> Probe:
    """Import `module` in a child process with a time limit, and say what came of it."""
    code = _PROBE.format(name=module, facts='\n'.join(f'    {line}' for line in _FACTS.get(module, '').splitlines()))
    try:
        child = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, errors='replace', timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return Probe(False, error=f'the import did not finish within {timeout_s:g} s')
    if child.returncode < 0:
        return Probe(False, error=f'the import was killed by {signal.Signals(-child.returncode).name}')
    try:
        result = Probe(**json.loads(child.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        return Probe(False, error=f'the import ended the process with code {child.returncode}')
    return _with_numpy_abi(result, child.stderr)


def _with_numpy_abi(result: Probe, stderr: str) -> Probe:
    """Built for numpy 1, running on 2: numpy says so on stderr only, and the exception names another reason."""
    if result.imported or 'compiled using NumPy 1.x' not in stderr:
        return result
    return Probe(False, error=f'compiled using NumPy 1.x; {result.error}')


def installed_distributions() -> dict[str, str]:
    """Versions by normalised name; damaged metadata is passed over."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata['Name'] if distribution.metadata else None
        if name and distribution.version:
            found.setdefault(re.sub(r'[-_.]+', '-', name).lower(), distribution.version)
    return found


def mmdet_bounds(init_file: Path | None = None) -> dict[str, tuple[str, str]]:
    """The versions of mmcv and mmengine that an mmdet asserts when it is imported, read from its source.

    OpenMMLab's mmdet 3.3.0 refuses mmcv 2.2.0 and newer; onedl-mmdetection has no such assertion.

    Args:
        init_file: ``mmdet/__init__.py``; that of the installed mmdet by default.
    """
    try:
        if init_file is None:
            spec = importlib.util.find_spec('mmdet')
            init_file = Path(spec.origin) if spec and spec.origin else Path('absent')
        text = init_file.read_text(encoding='utf-8', errors='replace')
    except (OSError, ImportError, ValueError):
        return {}
    values = dict(re.findall(r"""^(\w+_(?:minimum|maximum)_version)\s*=\s*['"]([^'"]+)['"]""", text, re.MULTILINE))
    keys = {name: (f'{name}_minimum_version', f'{name}_maximum_version') for name in ('mmcv', 'mmengine')}
    return {name: (values[low], values[high]) for name, (low, high) in keys.items() if low in values and high in values}


def look_at_folder(path: str) -> Folder:
    """Write and remove a file in `path`, or in the closest parent that exists where `path` would be made."""
    existing = Path(path).expanduser().absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Folder(path, True, shutil.disk_usage(existing).free)
    except OSError:
        return Folder(path, False)


def _temp_folder() -> Folder | None:
    try:
        return look_at_folder(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def _torch_home() -> str:
    cache = os.environ.get('XDG_CACHE_HOME', '~/.cache')
    return os.environ.get('TORCH_HOME', os.path.join(cache, 'torch'))


def _pip_command() -> str:
    """``pip`` where that is this environment's own, else this interpreter's path with ``-m pip``."""
    found = shutil.which('pip')
    own = found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)
    return 'pip' if own else f'{sys.executable} -m pip'
