"""`deeplake-mmdet upgrade-config`: what it writes loads and says the same; what it refuses leaves no file."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.cli.upgrade_config import write
from deeplake_mmdet.config.upgrade.bases import read_config
from deeplake_mmdet.config.upgrade.upgrade import upgrade
from deeplake_mmdet.errors import ConfigError

TOKEN = 'eyJhbGciOi.secret-token'
KEYS = dict(aws_access_key_id='AKIASECRET', aws_secret_access_key='hush-hush', endpoint_url='http://127.0.0.1:9000')
OLD = """
_base_ = '../mmdetection/configs/yolo/yolov3_d53_mstrain-416_273e_coco.py'
TOKEN = {token!r}
data = dict(
    samples_per_gpu=4,
    train=dict(deeplake_path='s3://b/train', deeplake_credentials=dict(token=TOKEN, creds={keys!r})),
    val=dict(deeplake_path='s3://b/val', deeplake_credentials=dict(token=TOKEN, creds=None)))
deeplake_metrics_format = 'COCO'
optimizer = dict(lr=0.0005)
lr_config = dict(step=[10, 20])
runner = dict(max_epochs=30)
checkpoint_config = dict(interval=5)
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / 'old.py'
    path.write_text(OLD.format(token=TOKEN, keys=KEYS), encoding='utf-8')
    return path


@pytest.fixture
def new(tmp_path):
    return tmp_path / 'new.py'


def test_the_written_file_loads_and_equals_the_translated_config(old, new, monkeypatch, capsys):
    assert main(['upgrade-config', str(old), str(new)]) == 0
    printed = capsys.readouterr().out.splitlines()
    monkeypatch.setenv('ACTIVELOOP_TOKEN', TOKEN)
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', KEYS['aws_access_key_id'])
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', KEYS['aws_secret_access_key'])
    expected = read_config(str(old))
    upgrade(expected, str(old))
    assert Config.fromfile(str(new)).to_dict() == expected.to_dict()
    config = Config.fromfile(str(new))
    assert config.optim_wrapper.optimizer.lr == 0.0005
    assert config.param_scheduler[1].milestones == [10, 20]
    assert config.train_cfg.max_epochs == 30
    assert not {'optimizer', 'lr_config', 'runner', 'checkpoint_config', '_base_'} & set(config)
    assert new.read_text().startswith('# Made of old.py by `deeplake-mmdet upgrade-config`')
    assert len(printed) == len(set(printed))
    assert printed[0].endswith("-> 'mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py'")
    assert 'checkpoint_config -> default_hooks.checkpoint (interval=5)' in printed
    assert printed[-1] == f'{new}: written'


def test_no_secret_is_written_and_the_names_that_stand_for_them_are_printed(old, new, capsys):
    assert main(['upgrade-config', str(old), str(new)]) == 0
    text = new.read_text()
    assert not any(secret in text for secret in (TOKEN, 'AKIASECRET', 'hush-hush'))
    assert KEYS['endpoint_url'] in text
    assert "token=os.environ.get('ACTIVELOOP_TOKEN')" in text
    assert "TOKEN = os.environ.get('ACTIVELOOP_TOKEN')" in text
    assert 'NEW reads ACTIVELOOP_TOKEN, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY from' in capsys.readouterr().out


def test_credentials_of_links_become_references_too(new, monkeypatch):
    links = dict(lab=dict(aws_secret_access_key='hush-lab', endpoint_url='http://127.0.0.1:9'))
    given = dict(creds=dict(aws_secret_access_key='hush-hush'), links=links)
    config = Config(dict(train=dict(deeplake_credentials=given)))
    names = ['AWS_SECRET_ACCESS_KEY', 'DEEPLAKE_LINK_CREDS_LAB_AWS_SECRET_ACCESS_KEY']
    assert write(config, 'old.py', str(new)) == names
    assert 'hush' not in new.read_text()
    for name, secret in zip(names, ('hush-hush', 'hush-lab'), strict=True):
        monkeypatch.setenv(name, secret)
    assert Config.fromfile(str(new)).train.to_dict() == dict(deeplake_credentials=given)


def test_without_its_variables_the_file_has_no_credentials_and_still_loads(old, new, monkeypatch):
    monkeypatch.delenv('ACTIVELOOP_TOKEN', raising=False)
    assert main(['upgrade-config', str(old), str(new)]) == 0
    assert Config.fromfile(str(new)).data.train.deeplake_credentials.token is None


def test_keys_without_counterpart_are_listed_and_nothing_is_written(old, new, capsys):
    old.write_text(old.read_text() + "lr_config = dict(_delete_=True, policy='inv')\nworkflow = [('val', 1)]\n")
    assert main(['upgrade-config', str(old), str(new)]) == 1
    message = capsys.readouterr().err
    assert 'workflow: ' in message and 'lr_config.policy: ' in message
    assert not new.exists()


def test_an_existing_file_is_kept_unless_forced(old, new, capsys):
    new.write_text('precious = 1\n')
    assert main(['upgrade-config', str(old), str(new)]) == 1
    assert 'exists. Give another name, or --force to replace it' in capsys.readouterr().err
    assert new.read_text() == 'precious = 1\n'
    assert main(['upgrade-config', str(old), str(new), '--force']) == 0
    assert 'precious' not in new.read_text()


def test_the_old_file_is_never_replaced(old, capsys):
    before = old.read_text()
    assert main(['upgrade-config', str(old), str(old), '--force']) == 1
    assert 'OLD itself is never replaced' in capsys.readouterr().err
    assert old.read_text() == before


@pytest.mark.parametrize(
    ('name', 'message'),
    [('new.yaml', 'expected the name of a Python file'), ('nowhere/new.py', 'expected a file in an existing folder')],
)
def test_a_name_that_cannot_be_written_is_refused(old, tmp_path, capsys, name, message):
    assert main(['upgrade-config', str(old), str(tmp_path / name)]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_file_is_refused(tmp_path, new, capsys):
    assert main(['upgrade-config', str(tmp_path / 'gone.py'), str(new)]) == 1
    assert "gone.py' does not exist" in capsys.readouterr().err


def test_a_config_of_mmdetection_3_is_written_as_it_is(tmp_path, new, capsys):
    old = tmp_path / 'old.py'
    old.write_text("_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n")
    assert main(['upgrade-config', str(old), str(new)]) == 0
    assert Config.fromfile(str(new)).to_dict() == Config.fromfile(str(old)).to_dict()
    assert 'has nothing of MMDetection 2' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(value={1, 2}.union), 'would not read back as it is: value=<built-in method'),
        (dict(value=float('nan')), "would not read back as it is: name 'nan'"),
        (
            dict(deeplake_credentials=dict(token=TOKEN), url=f'https://{TOKEN}@host'),
            'found one inside of another string',
        ),
        (
            dict(train=dict(deeplake_credentials=dict(token='one')), val=dict(deeplake_credentials=dict(token='two'))),
            'expected one token for all datasets, but got several',
        ),
        (dict(deeplake_credentials=dict(username='me', password='secret')), 'expected a token'),
    ],
)
def test_what_cannot_be_written_faithfully_is_refused(new, config, message):
    with pytest.raises(ConfigError, match=message):
        write(Config(config), 'old.py', str(new))
    assert not new.exists()


def test_help_names_the_verb(capsys):
    assert main(['--help']) == 0
    assert '  upgrade-config  write a config of MMDetection 2 as one of MMDetection 3' in capsys.readouterr().out
