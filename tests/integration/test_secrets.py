"""No credential is left anywhere: not in a work dir, a tracker, a cache, a temporary file, a log or a checkpoint."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.children import ROOT
from tests.support.leaks import PLACES, places_with_secrets
from tests.support.small_training import training, write_images

CREDENTIALS = f"""
lab = dict(aws_secret_access_key={PLACES['variable']!r})
train_dataloader = dict(dataset=dict(deeplake_credentials=dict(
    token={PLACES['token']!r},
    creds=dict(aws_access_key_id='AKIA', aws_secret_access_key={PLACES['creds']!r},
               aws_session_token='{{{{$MY_SESSION:}}}}', endpoint_url='http://{PLACES['endpoint']}@127.0.0.1:9'),
    links=dict(lab=lab, other=dict(aws_secret_access_key={PLACES['links']!r})))))
val_dataloader = dict(dataset=dict(deeplake_credentials=dict(token={PLACES['short']!r})))
note = 'https://models.example.org/weights.pth?X-Amz-Signature={PLACES['url']}&x=1'
vis_backends = [dict(type=f'{{name}}VisBackend') for name in ('Local', 'Wandb', 'MLflow', 'Tensorboard')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
"""
# Point to the change that makes a run fail there; None where it does not.
POINTS = {
    'nowhere': '',
    'unknown key': "train_dataloader['dataset']['deeplake_tokn'] = 'x'",
    'no such dataset': "train_dataloader['dataset']['deeplake_path'] = '/nowhere/at/all'",
    'no such view': "train_dataloader['dataset']['deeplake_view_id'] = 'none'",
    'no such model': "model['type'] = 'NoSuchDetector'",
    'no such weights': f"load_from = 'http://127.0.0.1:9/a.pth?X-Amz-Signature={PLACES['url']}'",
    'in the main process': "custom_hooks = [dict(type='SaysAllAt', point='before_run')]",
    'before an iteration': "custom_hooks = [dict(type='SaysAllAt', point='before_train_iter')]",
    'while a worker reads': "train_dataloader['dataset']['pipeline'] = [dict(type='SaysAll')]\n"
    "train_dataloader['num_workers'] = 1",
    'while it validates': "custom_hooks = [dict(type='SaysAllAt', point='after_val_iter')]",
    'while it writes a checkpoint': "custom_hooks = [dict(type='SaysAllAt', point='before_save_checkpoint')]",
}
# The same command with nothing hidden, to show that the search finds what is there.
BARE = """
import sys
import deeplake_mmdet.engine.prepare as prepare
import deeplake_mmdet.lineage.scrubbed_output as output
prepare.hide_credentials = lambda config: []
output.scrub = lambda text: text
from deeplake_mmdet.cli.main import main
sys.exit(main(['train', *sys.argv[1:]]))
"""


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('secrets') / 'ds', 4)


def environment(folder: Path) -> dict[str, str]:
    """All that may be written goes below a folder."""
    places = {
        name: str(folder / 'home' / name.lower())
        for name in (
            'HOME',
            'TMPDIR',
            'XDG_CACHE_HOME',
            'XDG_CONFIG_HOME',
            'WANDB_DIR',
            'WANDB_CACHE_DIR',
            'WANDB_CONFIG_DIR',
            'WANDB_DATA_DIR',
            'TORCH_HOME',
            'DEEPLAKE_MMDET_CACHE',
        )
    }
    for place in places.values():
        os.makedirs(place, exist_ok=True)
    return {
        **os.environ,
        **places,
        'WANDB_MODE': 'offline',
        'WANDB_SILENT': 'true',
        'PYTHONPATH': str(ROOT),
        'OMP_NUM_THREADS': '1',
        'AWS_SECRET_ACCESS_KEY': PLACES['environment'],
        'ACTIVELOOP_TOKEN': PLACES['environment'],
        'MY_SESSION': PLACES['substituted'],
        'SAID_BY_A_LIBRARY': ' '.join(secret for name, secret in PLACES.items() if name not in ('url', 'endpoint')),
    }


def command(folder: Path, path: str, point: str, ranks: int, *, bare: bool = False) -> list[str]:
    """The command that trains, its config written."""
    config = training(path, folder / 'work', train_cfg=dict(max_epochs=1))
    config.custom_imports.imports = [*config.custom_imports.imports, 'tests.support.leaks']
    config.default_hooks.checkpoint.interval = 2
    config.log_level = 'INFO'
    config.pop('experiment_name')
    config.dump(str(folder / 'base.py'))
    # The user's own file holds the secrets; it is no trace of the run.
    own = folder.parent / f'{folder.name}_own'
    own.mkdir()
    text = f'_base_ = {str(folder / "base.py")!r}\n{CREDENTIALS}\n{POINTS[point]}\n'
    (own / 'mine.py').write_text(text.replace('{{{{', '{{').replace('}}}}', '}}'))
    script = ['-c', BARE] if bare else [str(ROOT / 'tools' / 'train.py')]
    if ranks > 1:
        script = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(ranks), *script]
    return [sys.executable, *script, str(own / 'mine.py')]


def run(folder: Path, command: list[str]) -> tuple[int, list[str], str]:
    """Exit code, stdout and stderr, and all command lines that its processes were seen with."""
    with open(folder / 'out', 'w') as out, open(folder / 'err', 'w') as err:
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env=environment(folder), cwd=folder, start_new_session=True
        )
    lines = set()
    begin = time.monotonic()
    while process.poll() is None and time.monotonic() - begin < 250:
        lines |= set(command_lines(process.pid))
        time.sleep(0.05)
    assert process.poll() is not None, 'it did not end'
    return process.returncode, [(folder / name).read_text() for name in ('out', 'err')], '\n'.join(lines)


def command_lines(session: int) -> list[str]:
    """The command line of every process of a session."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            if os.getsid(int(entry.name)) == session:
                found.append((entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace'))
        except OSError:
            continue
    return found


REDUCED = [('nowhere', 1), ('while a worker reads', 1), ('before an iteration', 2)]
ALL = [(point, ranks) for ranks in (1, 2) for point in POINTS if (point, ranks) not in REDUCED]


@pytest.mark.parametrize(('point', 'ranks'), [*REDUCED, *(pytest.param(*case, marks=pytest.mark.slow) for case in ALL)])
def test_a_run_leaves_no_secret_wherever_it_fails(tmp_path, path, point, ranks):
    folder = tmp_path / 'run'
    folder.mkdir()
    code, said, lines = run(folder, command(folder, path, point, ranks))
    assert (code == 0) == (point == 'nowhere'), said[1][-3000:]
    assert places_with_secrets(folder, [*said, lines]) == {}
    if point == 'nowhere':
        assert list(folder.rglob('*.wandb')) and list(folder.rglob('*.db')) and list(folder.rglob('*tfevents*'))
        assert len(list(folder.rglob('*.pth'))) == 1
        assert 'holds a secret as it is' in re.sub(r'\s+', ' ', said[0] + said[1])


def test_the_search_finds_them_where_nothing_is_hidden(tmp_path, path):
    folder = tmp_path / 'run'
    folder.mkdir()
    code, said, lines = run(folder, command(folder, path, 'nowhere', 1, bare=True))
    assert code == 0, said[1][-3000:]
    found = places_with_secrets(folder, [*said, lines])
    for place in ('token', 'creds', 'variable', 'links', 'short', 'substituted'):
        files = ' '.join(found[PLACES[place]])
        for trace in ('.pth', 'vis_data/config.py', '.log'):
            assert trace in files, (place, trace)
