"""Credentials: read once, and never seen again in any text, pickle or copy."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.config.credentials import PREFIX, VARIABLE, Credentials, stash, unstash
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ConfigError, SourceError

SECRET, TOKEN, KEY = 'sEcReTpRoBe/42', 'tOkEnPrObE.99', 'AKIAPROBE0001'
GIVEN = {'token': TOKEN, 'creds': {'aws_access_key_id': KEY, 'aws_secret_access_key': SECRET}}


def leaks(text: str | bytes) -> list[str]:
    text = text if isinstance(text, str) else text.decode('latin-1')
    return [secret for secret in (SECRET, TOKEN, KEY) if secret in text]


def test_credentials_reach_deep_lake_as_they_were_given() -> None:
    assert Credentials.from_config(GIVEN).open_arguments() == {'token': TOKEN, 'creds': GIVEN['creds']}


def test_nothing_given_asks_for_nothing() -> None:
    for nothing in (None, '', {}, {'token': None}, {'token': ''}, {'creds': {}}, {'creds': {'aws_access_key_id': ''}}):
        credentials = Credentials.from_config(nothing)
        assert credentials.open_arguments() == {}
        assert not credentials
        assert stash(credentials) is None


def test_none_values_are_left_out_because_deep_lake_refuses_them() -> None:
    given = {'creds': {'aws_access_key_id': KEY, 'aws_session_token': None}}
    assert Credentials.from_config(given).open_arguments() == {'creds': {'aws_access_key_id': KEY}}


@pytest.mark.parametrize('key', ['username', 'password'])
def test_a_user_name_or_password_is_refused_with_the_reason(key: str) -> None:
    with pytest.raises(ConfigError, match='no longer signs in by password') as caught:
        Credentials.from_config({key: SECRET})
    assert not leaks(str(caught.value))


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'aws_secret_access_key': SECRET}, "'token', 'creds', 'links' or 'file', but got .'aws_secret_access_key'"),
        (SECRET, 'expected dict.*but got a str'),
        ({'token': [SECRET]}, 'token=.* expected a string, but got a list'),
        ({'creds': SECRET}, 'creds=.* expected a dict, but got a str'),
        ({'creds': {'aws_secret_access_key': [SECRET]}}, 'expected a string, but got a list'),
        ({'creds': {'aws_secret_acces_key': SECRET}}, "Did you mean 'aws_secret_access_key'"),
        ({'creds': {'aws_region_name': SECRET}}, "Did you mean 'aws_region'"),
    ],
)
def test_a_mistake_is_named_without_showing_the_value(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Credentials.from_config(given)
    assert not leaks(str(caught.value))


@pytest.mark.parametrize('endpoint', ['127.0.0.1:9000', 'minio.example.com', 's3://minio'])
def test_an_endpoint_without_a_scheme_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=f'endpoint_url=.* expected http://.*but got {endpoint!r}'):
        Credentials.from_config({'creds': {'endpoint_url': endpoint}})


def test_keys_of_other_clouds_pass() -> None:
    creds = {'azure_storage_account': 'a', 'GOOGLE_APPLICATION_CREDENTIALS': 'b', 'account_key': 'c'}
    assert Credentials.from_config({'creds': creds}).open_arguments() == {'creds': creds}


def test_no_text_pickle_or_copy_holds_a_secret() -> None:
    spec = DatasetSpec.from_config({'deeplake_path': 's3://b/x', 'deeplake_credentials': GIVEN})
    assert not leaks(repr(spec) + str(spec.credentials) + repr([spec.credentials]))
    assert not leaks(pickle.dumps(spec))
    for other in (pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec)):
        assert other.credentials.open_arguments() == spec.credentials.open_arguments()


def test_a_reference_says_nothing_and_leads_back_to_the_credentials() -> None:
    reference = stash(Credentials.from_config(GIVEN))
    assert reference and not leaks(reference)
    assert unstash(reference).open_arguments() == {'token': TOKEN, 'creds': GIVEN['creds']}
    assert Credentials.from_config(reference).open_arguments() == unstash(reference).open_arguments()


def test_equal_credentials_share_one_reference() -> None:
    other = copy.deepcopy(GIVEN)
    other['creds']['aws_secret_access_key'] = 'anOtherSecret77'
    first, again, second = (stash(Credentials.from_config(given)) for given in (GIVEN, GIVEN, other))
    assert first == again != second


def test_children_find_the_credentials_and_strangers_do_not() -> None:
    reference = stash(Credentials.from_config(GIVEN))
    code = (
        'import json, sys; from deeplake_mmdet.config.credentials import unstash; '
        'print(json.dumps(unstash(sys.argv[1]).open_arguments()))'
    )
    command = [sys.executable, '-c', code, str(reference)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(child.stdout.splitlines()[-1]) == {'token': TOKEN, 'creds': GIVEN['creds']}
    stranger = subprocess.run(command, capture_output=True, text=True, env={'PATH': '/usr/bin'}, check=False)
    assert 'are not known to this process' in stranger.stderr


def test_an_unknown_reference_says_what_to_do() -> None:
    with pytest.raises(SourceError, match=r"'vault:0123'.*Give deeplake_credentials again"):
        unstash('vault:0123')


def test_secrets_are_scrubbed_from_texts_and_public_values_are_not() -> None:
    creds = {**GIVEN['creds'], 'endpoint_url': 'http://127.0.0.1:1', 'aws_region': 'eu-west-1'}
    text = f'{SECRET} {TOKEN} {KEY} http://127.0.0.1:1 eu-west-1'
    assert Credentials(TOKEN, creds).scrub(text) == '*** *** *** http://127.0.0.1:1 eu-west-1'


def test_secrets_of_the_environment_are_scrubbed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', SECRET)
    monkeypatch.setenv('ACTIVELOOP_TOKEN', TOKEN)
    assert Credentials().scrub(f'{SECRET} {TOKEN}') == '*** ***'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of credentials."""
    (tmp_path / 'creds.json').write_text(json.dumps(GIVEN))
    return tmp_path / 'creds.json'


def test_a_file_of_credentials_is_read_whenever_they_are_needed(file: Path) -> None:
    reference = stash(Credentials.from_config({'file': str(file)}))
    assert unstash(reference).open_arguments() == {'token': TOKEN, 'creds': GIVEN['creds']}
    stored = os.environ[VARIABLE + str(reference).removeprefix(PREFIX)]
    assert str(file) in stored
    assert not leaks(stored)
    file.write_text(json.dumps({'token': 'anotherTokenOfTheSameUser'}))
    assert unstash(reference).open_arguments() == {'token': 'anotherTokenOfTheSameUser'}
    assert Credentials().scrub(f'{TOKEN} anotherTokenOfTheSameUser') == '*** ***'


def test_a_file_of_credentials_that_is_gone_or_wrong_is_named(file: Path) -> None:
    reference = stash(Credentials.from_config({'file': str(file)}))
    for content, message in (('{', 'no JSON'), ('[]', 'a JSON object'), ('{"tokn": 1}', "the keys 'token'")):
        file.write_text(content)
        with pytest.raises(ConfigError, match=message):
            Credentials.from_config({'file': str(file)})
    file.unlink()
    with pytest.raises(SourceError, match=r'were there when the run began: .*creds\.json.*No such file'):
        unstash(reference)
    with pytest.raises(ConfigError, match=r"expected no other key beside it, but got \['token'\]"):
        Credentials.from_config({'file': str(file), 'token': 'x'})
    file.write_text(json.dumps({'file': 'other.json'}))
    with pytest.raises(ConfigError, match='but got another file'):
        Credentials.from_config({'file': str(file)})
