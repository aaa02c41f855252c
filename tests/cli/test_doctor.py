"""The doctor: each thing that can be wrong is named with the command that mends it, and the exit code says so."""

from __future__ import annotations

import configparser
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deeplake_mmdet.cli.doctor import main, report
from deeplake_mmdet.doctor import diagnose
from deeplake_mmdet.doctor.environment import MODULES, Environment, Folder, Probe, look_at_folder, mmdet_bounds, probe
from deeplake_mmdet.doctor.packages import PACKAGES

GOOD_FOLDER = Folder('/somewhere', True, 10 * 2**30)
ONEDL = {
    'deeplake': '4.7.4',
    'deeplake-mmdet': '0.1.0',
    'numpy': '2.2.6',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmengine': '0.10.12',
    'opencv-python': '4.12.0.88',
    'opencv-python-headless': '4.12.0.88',
    'pycocotools': '2.0.11',
    'torch': '2.13.0+cpu',
}
OPENMMLAB = {name: version for name, version in ONEDL.items() if not name.startswith('onedl-')} | {
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'mmengine': '0.10.7',
    'setuptools': '80.10.2',
}
BOUNDS_3_3_0 = {'mmcv': ('2.0.0rc4', '2.2.0'), 'mmengine': ('0.7.1', '1.0.0')}


def healthy(**changes) -> Environment:
    """A snapshot with nothing wrong in it, but for `changes`."""
    probes = {name: Probe(True) for name in MODULES}
    probes['torch'] = Probe(True, facts={'cuda': None, 'devices': []})
    probes['mmcv._ext'] = Probe(True, facts={'cuda': 'not available'})
    env = Environment(
        python=(3, 11, 7),
        platform='Linux x86_64',
        pip='pip',
        distributions=ONEDL,
        probes=probes,
        temp=GOOD_FOLDER,
        model_cache=GOOD_FOLDER,
        shared_memory=GOOD_FOLDER,
    )
    return replace(env, **changes)


def with_probes(env: Environment | None = None, **broken: Probe) -> Environment:
    env = env or healthy()
    return replace(env, probes={**env.probes, **{name.replace('__', '.'): value for name, value in broken.items()}})


def with_versions(env: Environment | None = None, **versions: str | None) -> Environment:
    """`None` takes a distribution out; an underscore stands for a hyphen."""
    env = env or healthy()
    merged = {**env.distributions, **{name.replace('_', '-'): value for name, value in versions.items()}}
    return replace(env, distributions={name: value for name, value in merged.items() if value is not None})


def absent(module: str) -> Probe:
    return Probe(False, missing=module, error=f"ModuleNotFoundError: No module named '{module}'")


def broken(error: str, missing: str | None = None) -> Probe:
    return Probe(False, missing=missing, error=error)


def openmmlab(**changes) -> Environment:
    return healthy(distributions=OPENMMLAB, mmdet_bounds=BOUNDS_3_3_0, **changes)


COMPILE_ONEDL = (
    "pip install ninja psutil wheel 'setuptools>=80' && MMCV_WITH_OPS=1 pip install --no-build-isolation --no-deps "
    "--no-cache-dir --force-reinstall --no-binary onedl-mmcv 'onedl-mmcv"
)
COMPILE_OPENMMLAB = (
    "pip install ninja psutil wheel 'setuptools<81' && MMCV_WITH_OPS=1 pip install --no-build-isolation --no-deps "
    "--no-cache-dir --force-reinstall --no-binary mmcv 'mmcv>=2.0.0rc4,<2.2.0'"
)
NO_EXT = broken("ModuleNotFoundError: No module named 'mmcv._ext'", 'mmcv._ext')
NO_LIBGL = broken('ImportError: libGL.so.1: cannot open shared object file: No such file or directory')
UNDEFINED = broken('ImportError: _ext.so: undefined symbol: _ZNK3c10')
NUMPY_1 = broken('compiled using NumPy 1.x; ImportError: numpy.core.multiarray failed to import')

# What is wrong, the text that names it, the command that mends it.
PROBLEMS = {
    'old Python': (healthy(python=(3, 9, 18)), '3.9.18 is too old', 'python3.12 -m venv'),
    'no torch': (with_probes(torch=absent('torch')), 'is not installed', "pip install 'torch>=2.0'"),
    'old torch': (with_versions(torch='1.13.1'), '1.13.1 is too old', "pip install 'torch>=2.0'"),
    'broken torch': (
        with_probes(torch=broken('OSError: libcudart.so.12')),
        'libcudart',
        'pip install --force-reinstall torch==2.13.0',
    ),
    'old numpy': (with_versions(numpy='1.19.5'), '1.19.5 is too old', "pip install 'numpy>=1.22'"),
    'built for numpy 1': (with_probes(pycocotools__mask=NUMPY_1), 'NumPy 1.x', "pip install 'numpy<2'"),
    'no deeplake': (with_probes(deeplake=absent('deeplake')), 'is not installed', "pip install 'deeplake>=4.7'"),
    'old deeplake': (with_versions(deeplake='3.9.26'), '3.9.26 is too old', "pip install 'deeplake>=4.7'"),
    'deeplake lacks a dependency': (
        with_probes(deeplake=broken("ModuleNotFoundError: No module named 'yaml'", 'yaml')),
        "No module named 'yaml'",
        "pip install 'pyyaml'",
    ),
    'no mmengine': (
        with_versions(with_probes(mmengine=absent('mmengine')), onedl_mmengine=None),
        'is not installed',
        "pip install 'onedl-mmengine>=0.10.8'",
    ),
    'no mmcv': (
        with_versions(with_probes(mmcv=absent('mmcv'), mmcv___ext=absent('mmcv')), onedl_mmcv=None),
        'is not installed',
        f"{COMPILE_ONEDL}>=2.3.4'",
    ),
    'no mmdet': (
        with_versions(with_probes(mmdet=absent('mmdet')), onedl_mmdetection=None),
        'is not installed',
        "pip install 'onedl-mmdetection>=3.5'",
    ),
    'no mmcv beside the mmdet of OpenMMLab': (
        with_versions(with_probes(openmmlab(), mmcv=absent('mmcv'), mmcv___ext=absent('mmcv')), mmcv=None),
        'is not installed',
        COMPILE_OPENMMLAB,
    ),
    'MMDetection 2': (
        with_versions(openmmlab(), mmdet='2.28.2'),
        '2.28.2 is too old',
        "pip install 'mmdet>=3.0.0,<4.0.0'",
    ),
    'operators not compiled': (
        with_probes(**{'mmcv._ext': NO_EXT}),
        "operators of mmcv are missing: ModuleNotFoundError: No module named 'mmcv._ext'",
        f"{COMPILE_ONEDL}==2.3.6'",
    ),
    'operators of another torch': (
        with_probes(openmmlab(), **{'mmcv._ext': UNDEFINED}),
        'undefined symbol',
        COMPILE_OPENMMLAB,
    ),
    'mmcv-lite': (
        with_versions(with_probes(openmmlab(), **{'mmcv._ext': NO_EXT}), mmcv=None, mmcv_lite='2.1.0'),
        'mmcv-lite is installed, which has none',
        f'pip uninstall -y mmcv-lite && {COMPILE_OPENMMLAB}',
    ),
    'operators for the CPU beside a GPU': (
        with_probes(torch=Probe(True, facts={'cuda': '13.0', 'devices': ['NVIDIA H200']})),
        'torch sees NVIDIA H200, but mmcv is compiled for the CPU only',
        f"{COMPILE_ONEDL}==2.3.6'",
    ),
    'mmcv too new for mmdet': (
        with_versions(
            with_probes(openmmlab(), mmdet=broken('AssertionError: MMCV==2.2.0 is used but incompatible')), mmcv='2.2.0'
        ),
        'the installed mmdet 3.3.0 refuses mmcv 2.2.0: needs >=2.0.0rc4,<2.2.0',
        COMPILE_OPENMMLAB,
    ),
    'setuptools without pkg_resources beside the mmengine of OpenMMLab': (
        with_versions(openmmlab(), setuptools='84.2.1'),
        'setuptools 84.2.1 has no pkg_resources',
        "pip install 'setuptools<81'",
    ),
    'no setuptools beside the mmengine of OpenMMLab': (
        with_versions(openmmlab(), setuptools=None),
        'Python itself has no pkg_resources',
        "pip install 'setuptools<81'",
    ),
    'the other stack beside mmdet': (
        with_versions(openmmlab(), mmcv=None, onedl_mmcv='2.3.6'),
        'refuses mmcv 2.3.6',
        f'pip uninstall -y onedl-mmcv && {COMPILE_OPENMMLAB}',
    ),
    'the mmdet beside another stack': (
        with_versions(openmmlab(), mmcv=None, onedl_mmcv='2.3.6'),
        'refuses mmcv 2.3.6',
        "pip uninstall -y mmdet && pip install 'onedl-mmdetection>=3.5'",
    ),
    'two mmcv': (
        with_versions(mmcv='2.1.0'),
        'mmcv and onedl-mmcv are installed at once',
        f"pip uninstall -y mmcv onedl-mmcv && {COMPILE_ONEDL}==2.3.6'",
    ),
    'two mmengine': (
        with_versions(mmengine='0.10.7'),
        'mmengine and onedl-mmengine are installed at once',
        "pip uninstall -y mmengine onedl-mmengine && pip install 'onedl-mmengine==0.10.12'",
    ),
    'two mmdet': (
        with_versions(mmdet='3.3.0'),
        'mmdet and onedl-mmdetection are installed at once',
        "pip uninstall -y mmdet onedl-mmdetection && pip install 'onedl-mmdetection==3.5.1'",
    ),
    'two versions of OpenCV': (
        with_versions(opencv_python='4.9.0.80'),
        'opencv-python 4.9.0.80 and opencv-python-headless 4.12.0.88 share one folder',
        'pip install --force-reinstall --no-deps opencv-python==4.9.0.80 opencv-python-headless==4.9.0.80',
    ),
    'no libGL': (with_probes(cv2=NO_LIBGL), 'libGL.so.1', 'apt-get install -y libgl1 libglib2.0-0'),
    'no temporary folder': (healthy(temp=None), 'no temporary folder can be written', 'export TMPDIR=~/tmp'),
    'disk cache that cannot be written': (
        healthy(fs_cache=Folder('/read only', False)),
        'DEEPLAKE_FS_CACHE_PATH=/read only cannot be written',
        "mkdir -p '/read only' && chmod u+rwx '/read only'",
    ),
    'disk cache on a full disk': (
        healthy(fs_cache=GOOD_FOLDER, fs_cache_limit_mb='20000'),
        '/somewhere has 10.0 GiB left, less than 20000 MB',
        'unset DEEPLAKE_FS_CACHE_PATH',
    ),
    'disk cache with a limit that is no number': (
        healthy(fs_cache=GOOD_FOLDER, fs_cache_limit_mb='20 GB'),
        "DEEPLAKE_FS_CACHE_SIZE_MB='20 GB'",
        'export DEEPLAKE_FS_CACHE_SIZE_MB=100000',
    ),
}
WARNINGS = {
    'small shared memory': (healthy(shared_memory=Folder('/dev/shm', True, 64 * 2**20)), '/dev/shm', '--shm-size=8g'),
    'full temporary folder': (healthy(temp=Folder('/tmp', True, 2**20)), '/tmp has 0.0 GiB', 'export TMPDIR=~/tmp'),
    'model cache': (healthy(model_cache=Folder('/root', False)), 'pretrained weights', 'export TORCH_HOME='),
}


@pytest.mark.parametrize('name', PROBLEMS)
def test_a_broken_environment_gets_one_problem_with_the_command_that_mends_it(name):
    env, text, fix = PROBLEMS[name]
    (problem,) = (finding for finding in diagnose(env) if finding.level == 'problem')
    assert text in problem.text
    assert any(fix in command for command in problem.fixes), problem.fixes


@pytest.mark.parametrize('name', WARNINGS)
def test_a_drawback_is_a_warning_with_its_remedy_and_no_problem(name):
    env, text, fix = WARNINGS[name]
    (warning,) = (finding for finding in diagnose(env) if finding.level in ('problem', 'warning'))
    assert warning.level == 'warning' and text in warning.text
    assert any(fix in command for command in warning.fixes), warning.fixes


@pytest.mark.parametrize('env', [healthy(), openmmlab()], ids=['onedl', 'openmmlab'])
def test_both_stacks_pass_when_nothing_is_wrong(env):
    assert {finding.level for finding in diagnose(env)} == {'ok', 'note'}


def test_what_leaves_the_machine_is_said():
    (note,) = (finding for finding in diagnose(healthy()) if finding.level == 'note')
    assert 'Sentry' in note.text and 'no telemetry' in note.text


def test_a_missing_library_of_opencv_can_also_be_avoided_with_the_headless_distribution():
    (problem,) = (finding for finding in diagnose(with_probes(cv2=NO_LIBGL)) if finding.level == 'problem')
    assert problem.fixes[1] == (
        'pip uninstall -y opencv-python && pip install --force-reinstall --no-deps opencv-python-headless==4.12.0.88'
    )


def test_what_fails_because_of_another_package_is_not_listed_beside_it():
    failed = dict.fromkeys(('cv2', 'mmcv', 'mmcv._ext', 'mmdet'), NO_LIBGL)
    problems = [finding.subject for finding in diagnose(with_probes(**failed)) if finding.level == 'problem']
    assert problems == ['cv2']


def test_nothing_at_all_installed_is_reported_package_by_package():
    env = healthy(distributions={}, probes={name: absent(name.partition('.')[0]) for name in MODULES})
    problems = [finding.subject for finding in diagnose(env) if finding.level == 'problem']
    assert problems == [package.module for package in PACKAGES]


def test_the_minimum_versions_are_those_that_setup_cfg_asks_for():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / 'setup.cfg')
    required = config['options']['install_requires'].split()
    minimum = {package.distributions[0]: package.minimum for package in PACKAGES}
    assert {f'deeplake>={minimum["deeplake"]}', f'numpy>={minimum["numpy"]}'} <= set(required)


def test_the_bounds_of_an_installed_mmdet_are_read_from_its_source(tmp_path):
    source = "import mmcv\nmmcv_minimum_version = '2.0.0rc4'\nmmcv_maximum_version = '2.2.0'\nassert False\n"
    (tmp_path / '__init__.py').write_text(source)
    assert mmdet_bounds(tmp_path / '__init__.py') == {'mmcv': ('2.0.0rc4', '2.2.0')}


def test_a_module_that_hangs_crashes_or_exits_is_a_finding_and_not_the_end_of_the_doctor(tmp_path, monkeypatch):
    (tmp_path / 'hanging.py').write_text('import time; time.sleep(60)')
    (tmp_path / 'crashing.py').write_text('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)')
    (tmp_path / 'exiting.py').write_text('import os; os._exit(3)')
    (tmp_path / 'chatty.py').write_text("print('hello'); __version__ = '1.2'")
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    assert probe('hanging', timeout_s=1).error == 'the import did not finish within 1 s'
    assert probe('crashing').error == 'the import was killed by SIGSEGV'
    assert probe('exiting').error == 'the import ended the process with code 3'
    assert probe('chatty') == Probe(True, version='1.2')
    assert probe('nowhere') == absent('nowhere')


def test_a_folder_is_judged_by_writing_to_it(tmp_path):
    (tmp_path / 'file').write_text('')
    assert look_at_folder(str(tmp_path / 'made' / 'later')).writable
    assert not look_at_folder(str(tmp_path / 'file' / 'below')).writable
    assert list(tmp_path.iterdir()) == [tmp_path / 'file']


def test_signs_are_plain_where_the_stream_cannot_show_them_and_coloured_on_a_terminal_only(monkeypatch):
    env = PROBLEMS['no deeplake'][0]
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
    assert '\nx deeplake' in report(env, diagnose(env), ascii_stream)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')
    assert '\n✗ deeplake' in report(env, diagnose(env), terminal)
    monkeypatch.setattr(terminal, 'isatty', lambda: True)
    monkeypatch.delenv('NO_COLOR', raising=False)
    assert '\033[31m✗\033[0m deeplake' in report(env, diagnose(env), terminal)
    monkeypatch.setenv('NO_COLOR', '1')
    assert '\033' not in report(env, diagnose(env), terminal)


@pytest.fixture
def own_environment(monkeypatch):
    """This environment as `make` leaves it: compiled for the CPU where there is no nvcc, without a disk cache."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.delenv('DEEPLAKE_FS_CACHE_PATH', raising=False)


@pytest.mark.usefixtures('own_environment')
def test_the_environment_of_these_tests_passes(capsys):
    assert main([]) == 0
    assert 'All is well.' in capsys.readouterr().out


@pytest.mark.usefixtures('own_environment')
def test_json_holds_the_findings_and_the_snapshot(capsys):
    assert main(['--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert document['problems'] == 0
    assert {'level', 'subject', 'text', 'fixes'} == document['findings'][0].keys()
    assert document['environment']['probes']['deeplake']['imported'] is True


HIDING = """
import os, sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ['HIDDEN_MODULE']:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Hide())
"""


@pytest.mark.parametrize(
    ('module', 'text'),
    [
        ('mmcv._ext', 'the compiled operators of mmcv are missing'),
        ('torch', 'torch             is not installed'),
        ('mmengine', 'mmengine          is not installed'),
        ('mmdet', 'mmdet             is not installed'),
    ],
)
def test_the_command_survives_a_broken_environment_and_exits_with_1(tmp_path, module, text):
    (tmp_path / 'sitecustomize.py').write_text(HIDING)
    run = subprocess.run(
        [sys.executable, '-c', "import sys; from deeplake_mmdet.cli.main import main; sys.exit(main(['doctor']))"],
        env={
            **os.environ,
            'CUDA_VISIBLE_DEVICES': '',
            'PYTHONPATH': f'{tmp_path}{os.pathsep}{Path(__file__).parents[2]}',
            'HIDDEN_MODULE': module,
        },
        capture_output=True,
        text=True,
        encoding='utf-8',
    )
    assert run.returncode == 1, run.stderr
    assert text in run.stdout and 'mend it: ' in run.stdout and 'Problems: 1.' in run.stdout
