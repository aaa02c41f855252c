"""What is shipped and what `make` installs: the package's metadata, the lock, and the stamp of the environment."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import deeplake_mmdet

ROOT = Path(__file__).parents[1]
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
LOCKS = {  # what is asked for beside `install_requires` and the tools of development: an extra, or a file
    'lock.txt': 'mm',
    'openmmlab.txt': 'openmmlab.in',
}
for_each_lock = pytest.mark.parametrize('lock', LOCKS)
for_each_python = pytest.mark.parametrize('python', PYTHONS)


def metadata() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    return config


def requirements(text: str) -> list[Requirement]:
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def read(name: str) -> str:
    return (ROOT / 'requirements' / name).read_text(encoding='utf-8')


def pins(lock: str, python: str) -> dict[str, str]:
    """Versions by name that a lock gives to one minor version of Python on Linux."""
    env = {
        'python_version': python,
        'python_full_version': f'{python}.1',
        'sys_platform': 'linux',
        'implementation_name': 'cpython',
        'platform_python_implementation': 'CPython',
    }
    found: dict[str, str] = {}
    for pin in requirements(read(lock)):
        if pin.marker is None or pin.marker.evaluate(env):
            (specifier,) = pin.specifier
            assert specifier.operator == '==' and canonicalize_name(pin.name) not in found, f'{pin} is no single pin'
            found[canonicalize_name(pin.name)] = specifier.version
    return found


@for_each_lock
@for_each_python
def test_a_lock_pins_a_version_that_is_accepted_for_all_that_is_asked_for(lock, python):
    config, locked = metadata(), pins(lock, python)
    extras = config['options.extras_require']
    stack = extras[LOCKS[lock]] if LOCKS[lock] in extras else read(LOCKS[lock])
    asked = '\n'.join([config['options']['install_requires'], extras['dev'], stack, read('build.in')])
    for requirement in requirements(asked):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


@for_each_lock
@for_each_python
def test_a_lock_keeps_the_distributions_that_share_the_folder_cv2_at_one_version(lock, python):
    assert pins(lock, python)['opencv-python'] == pins(lock, python)['opencv-python-headless']


@for_each_python
def test_both_stacks_are_tested_with_the_same_versions_of_all_else(python):
    ours, theirs = pins('lock.txt', python), pins('openmmlab.txt', python)
    assert {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]} == {'setuptools'}
    assert theirs.keys() - ours.keys() == {'mmcv', 'mmdet', 'mmengine'}


@for_each_lock
def test_a_lock_leaves_cuda_to_pip_and_names_no_place(lock):
    text = read(lock)
    assert not re.search(r'^(nvidia|cuda|triton)', text, re.MULTILINE)
    assert '://' not in text and '--' not in text and '+cpu' not in text


def test_installing_the_package_alone_brings_no_part_of_the_mm_stack():
    names = {canonicalize_name(entry.name) for entry in requirements(metadata()['options']['install_requires'])}
    assert not {name for name in names if re.match(r'(onedl-|mm|torch|opencv)', name)}


def test_every_folder_with_code_is_a_package_and_so_is_shipped():
    folders = {path.parent for path in (ROOT / 'deeplake_mmdet').rglob('*.py')}
    assert not [str(folder) for folder in folders if not (folder / '__init__.py').exists()]


def test_the_version_is_the_same_in_the_metadata_and_in_the_package():
    assert metadata()['metadata']['version'] == deeplake_mmdet.__version__


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The files that the environments depend on, and environments that look installed."""
    for name in ('Makefile', 'setup.cfg', 'pyproject.toml', 'requirements'):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    for path in tmp_path.rglob('*'):
        os.utime(path, (1e9, 1e9))
    for environment in ('.venv', '.venv-openmmlab'):
        (tmp_path / environment).mkdir()
        (tmp_path / environment / '.installed').touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if not name.startswith('MAKE')}
    return subprocess.run(['make', *arguments], cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    'name, anew',
    [
        ('requirements/lock.txt', {'venv'}),
        ('requirements/openmmlab.txt', {'venv-openmmlab'}),
        ('setup.cfg', {'venv', 'venv-openmmlab'}),
    ],
)
def test_an_installed_environment_is_made_anew_only_after_a_change_of_what_it_depends_on(checkout, name, anew):
    targets = ('venv', 'venv-openmmlab')
    assert not [target for target in targets if make(checkout, '--question', target).returncode]
    os.utime(checkout / name, (4e9, 4e9))
    assert {target for target in targets if make(checkout, '--question', target).returncode} == anew


def test_an_installation_that_fails_leaves_no_stamp_and_says_what_to_do(checkout):
    os.utime(checkout / 'setup.cfg', (4e9, 4e9))
    run = make(checkout, 'venv', 'PYTHON=no-such-python')
    assert run.returncode != 0 and "there is no 'no-such-python'. Install Python 3.10 or newer" in run.stderr
    assert not (checkout / '.venv' / '.installed').exists()


def test_an_interpreter_that_is_too_old_is_refused_by_name(checkout):
    old = checkout / 'old-python'
    old.write_text('#!/bin/sh\nexit 1\n')
    old.chmod(0o755)
    os.utime(checkout / 'setup.cfg', (4e9, 4e9))
    run = make(checkout, 'venv', f'PYTHON={old}')
    assert run.returncode != 0 and f"Python 3.10 or newer is needed, and '{old}' is another" in run.stderr
