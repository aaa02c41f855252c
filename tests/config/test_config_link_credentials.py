"""Credentials of links: named by the dataset, found in the config or the environment, and as secret as the others."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from deeplake_mmdet.config.credentials import Credentials, stash, unstash
from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.config.link_credentials import LinkCredentials, link_creds_variable
from deeplake_mmdet.errors import ConfigError

SECRET, OWN = 'lInKsEcReT/42', 'oWnSeCrEt/43'
FLEET = {'aws_access_key_id': 'AKIAFLEET', 'aws_secret_access_key': SECRET, 'endpoint_url': 'http://127.0.0.1:1'}
GIVEN = {'creds': {'aws_secret_access_key': OWN}, 'links': {'fleet': FLEET, 'lab-2': {'aws_secret_access_key': 'x'}}}


def resolve(name: str | None, uri: str = 's3://bucket/data', given: Any = None) -> LinkCredentials:
    return LinkCredentials.resolve(name, Credentials.from_config(GIVEN if given is None else given), uri)


def test_a_name_is_looked_up_in_the_config_first_and_then_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DEEPLAKE_LINK_CREDS_FLEET', json.dumps({'aws_access_key_id': 'other'}))
    monkeypatch.setenv('DEEPLAKE_LINK_CREDS_LAB_3', json.dumps({'aws_access_key_id': 'lab', 'aws_session_token': None}))
    assert resolve('fleet').of('s3').creds == FLEET
    assert resolve('fleet', given={}).of('s3').creds == {'aws_access_key_id': 'other'}
    assert resolve('lab-3').of('gcs').creds == {'aws_access_key_id': 'lab'}, 'named ones are for any storage'


@pytest.mark.parametrize(
    ('name', 'variable'),
    [
        ('fleet', 'DEEPLAKE_LINK_CREDS_FLEET'),
        ('lab-2', 'DEEPLAKE_LINK_CREDS_LAB_2'),
        ('ünï', 'DEEPLAKE_LINK_CREDS__N_'),
    ],
)
def test_the_variable_of_a_name_is_one_that_a_shell_can_set(name: str, variable: str) -> None:
    assert link_creds_variable(name) == variable


def test_a_name_that_nobody_knows_is_refused_naming_both_places() -> None:
    message = r"calls 'fleat'.*deeplake_credentials=dict\(links=dict\(fleat=.*DEEPLAKE_LINK_CREDS_FLEAT .*mean 'fleet'"
    with pytest.raises(ConfigError, match=message):
        resolve('fleat')
    with pytest.raises(ConfigError, match=r'…"}\.$'):
        resolve('fleat', given={})


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (SECRET, r'environment\(DEEPLAKE_LINK_CREDS_LAB=\) expected a JSON object'),
        (f'["{SECRET}"]', 'expected a JSON object'),
        (f'{{"aws_secret_acces_key": "{SECRET}"}}', r'LAB\.aws_secret_acces_key=\) is no key.*aws_secret_access_key'),
        ('{"aws_secret_access_key": 5}', 'expected a string, but got a int'),
        ('{"endpoint_url": "minio:9000"}', r'LAB\.endpoint_url=\) expected http://'),
    ],
)
def test_a_malformed_variable_is_named_and_not_shown(
    content: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DEEPLAKE_LINK_CREDS_LAB', content)
    with pytest.raises(ConfigError, match=message) as caught:
        resolve('lab', given={})
    assert SECRET not in str(caught.value)


def test_without_a_name_the_datasets_own_credentials_serve_storage_of_their_kind() -> None:
    on_s3 = resolve(None)
    assert on_s3.of('s3').creds == GIVEN['creds']
    assert not on_s3.of('gcs')
    assert not on_s3.of('azure')
    assert resolve(None, 'gcs://b/x').of('gcs').creds == GIVEN['creds']
    assert not resolve(None, 'gs://b/x').of('s3')
    assert not resolve(None, 'al://org/x').of('s3')


def test_credentials_of_a_local_dataset_can_only_be_for_its_links() -> None:
    for uri in ('/data/x', 'mem://x'):
        assert resolve(None, uri).of('s3').creds == resolve(None, uri).of('azure').creds == GIVEN['creds']


@pytest.mark.parametrize(
    ('links', 'message'),
    [
        (SECRET, r'deeplake_credentials\.links=\) expected a dict of name to storage credentials, but got a str'),
        ({'lab': SECRET}, r'links\.lab=\) expected a dict, but got a str'),
        ({'lab': {'aws_secret_access_key': [SECRET]}}, r'links\.lab\.aws_secret_access_key=\) expected a string'),
        ({'lab': {'aws_secret_acces_key': SECRET}}, "Did you mean 'aws_secret_access_key'"),
        ({'lab': {'endpoint_url': 'minio:9000'}}, r'links\.lab\.endpoint_url=\) expected http://'),
    ],
)
def test_a_mistake_is_named_without_showing_the_value(links: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Credentials.from_config({'links': links})
    assert SECRET not in str(caught.value)


def test_no_text_pickle_copy_or_reference_holds_a_secret_of_links() -> None:
    spec = DatasetSpec.from_config({'deeplake_path': 's3://b/x', 'deeplake_credentials': GIVEN})
    resolved = resolve('fleet')
    reference = stash(spec.credentials)
    said = f'{spec!r}{spec.credentials!r}{reference}{resolved!r}'.encode() + pickle.dumps([spec, resolved])
    assert SECRET.encode() not in said
    for other in (pickle.loads(pickle.dumps(spec)).credentials, copy.deepcopy(spec).credentials, unstash(reference)):
        assert other.links == spec.credentials.links == GIVEN['links']
    assert pickle.loads(pickle.dumps(resolved)).of('s3').creds == FLEET


def test_secrets_of_links_are_scrubbed_and_counted_as_secrets() -> None:
    credentials = Credentials.from_config(GIVEN)
    assert credentials.secrets() >= {SECRET, OWN, 'AKIAFLEET'}
    assert 'http://127.0.0.1:1' not in credentials.secrets()
    assert credentials.scrub(f'{SECRET} {OWN} http://127.0.0.1:1') == '*** *** http://127.0.0.1:1'


def test_credentials_of_links_alone_are_credentials_and_open_no_dataset() -> None:
    credentials = Credentials.from_config({'links': {'fleet': FLEET}})
    assert credentials
    assert credentials.open_arguments() == {}
