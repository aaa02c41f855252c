"""Secrets are taken out of texts, and nothing else is."""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplake_mmdet.config.credentials import Credentials, stash
from deeplake_mmdet.config.redaction import scrub, scrubbed

SECRET = 'GEHEIM%2Bx'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (f'https://me:{SECRET}@host/a.jpg', 'https://***@host/a.jpg'),
        (f'https://{SECRET}@host/a.jpg', 'https://***@host/a.jpg'),
        (f'see s3+http://me:a@{SECRET}@host:80/a and more', 'see s3+http://***@host:80/a and more'),
        (f'https://h/a?X-Amz-Signature={SECRET}&x=1', 'https://h/a?X-Amz-Signature=***&x=1'),
        (f'https://h/a?x=1&X-Amz-Credential={SECRET}', 'https://h/a?x=1&X-Amz-Credential=***'),
        (f'https://h/a?X-Goog-Signature={SECRET}', 'https://h/a?X-Goog-Signature=***'),
        (f'https://h/a?sv=2023&sig={SECRET}#top', 'https://h/a?sv=2023&sig=***#top'),
        (f'https://h/a?AWSAccessKeyId={SECRET}&Signature={SECRET}', 'https://h/a?AWSAccessKeyId=***&Signature=***'),
        (f'https://h/a?access_token={SECRET}', 'https://h/a?access_token=***'),
        (f'https://h/a?api_key={SECRET}', 'https://h/a?api_key=***'),
        (f'https://h/a#access_token={SECRET}', 'https://h/a#access_token=***'),
        (f"open('https://h/a?token={SECRET}')", "open('https://h/a?token=***')"),
        (f'postgresql://me:{SECRET}@db/x', 'postgresql://***@db/x'),
    ],
)
def test_what_signs_or_opens_a_url_is_hidden(text, expected):
    assert scrub(text) == expected


@pytest.mark.parametrize(
    'text',
    [
        's3://bucket/cars@main',
        'https://host/a@b.jpg?size=3&page=2',
        'me@example.com',
        "select * where labels == 'key=3'",
        '/data/cars?token',
        'hub://org/ds/.queries/abc',
        'SSH keys: key=value; a?b=c',
        '',
    ],
)
def test_other_texts_stay(text):
    assert scrub(text) == text


def test_credentials_of_the_environment_and_of_configs_are_hidden(monkeypatch):
    monkeypatch.setattr(os, 'environ', {**os.environ, 'ACTIVELOOP_TOKEN': 'GEHEIM-1'})
    stash(Credentials(token='GEHEIM-2', creds={'aws_secret_access_key': 'GEHEIM-3', 'aws_region': 'eu'}))
    assert scrub('GEHEIM-1 GEHEIM-2 GEHEIM-3 eu') == '*** *** *** eu'


AWKWARD = 'Ge"h\\eim/+\xe9=zz9'


@pytest.mark.parametrize(
    'write',
    [
        str,
        repr,
        ascii,
        json.dumps,
        lambda secret: repr(secret.encode()),
        lambda secret: f'https://h/a?t={quote(secret, safe="")}',
        lambda secret: quote_plus(secret),
        lambda secret: base64.b64encode(secret.encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_form_that_messages_give_it(write, monkeypatch):
    monkeypatch.setattr(os, 'environ', {**os.environ, 'ACTIVELOOP_TOKEN': AWKWARD})
    text = write(AWKWARD)
    found = scrub(text)
    assert '***' in found
    assert len(found.strip('"\'b=')) <= len('https://h/a?t=***')


@pytest.mark.parametrize(
    'header', ['Authorization: Bearer {}', "{{'authorization': 'Basic {}'}}", 'Authorization=token {}']
)
def test_what_a_header_authorizes_with_is_hidden(header):
    assert scrub(header.format('Z2VoZWltOng=')) == header.format('***')


@pytest.mark.parametrize('name', ['WANDB_API_KEY', 'MLFLOW_TRACKING_PASSWORD', 'AZURE_STORAGE_KEY'])
def test_the_keys_of_trackers_and_clouds_in_the_environment_are_hidden(name, monkeypatch):
    monkeypatch.setattr(os, 'environ', {**os.environ, name: 'GEHEIM-4711'})
    assert scrub('refused: GEHEIM-4711') == 'refused: ***'


def test_a_short_secret_is_a_word_and_leaves_other_words_and_names_alone(monkeypatch):
    monkeypatch.setattr(os, 'environ', {**os.environ, 'AWS_SECRET_ACCESS_KEY': 'test', 'AWS_ACCESS_KEY_ID': 'a.c+'})
    assert scrub('test, "test" of tests/test_dataloader abcc a.c+') == '***, "***" of tests/test_dataloader abcc ***'
    assert scrubbed({'test': 'test', 'test_cfg': {1: 'tests.x'}}) == {'test': '***', 'test_cfg': {1: 'tests.x'}}


def test_texts_are_found_wherever_they_are_in_json_and_the_original_stays():
    record = {'a': [{'https://me:pw@h/': ('https://me:pw@h/', 1, None, True)}]}
    assert scrubbed(record) == {'a': [{'https://***@h/': ('https://***@h/', 1, None, True)}]}
    assert 'me:pw' in str(record)


@given(
    st.text(),
    st.from_regex(r'[A-Za-z0-9]{6,20}', fullmatch=True),
    st.text(alphabet=st.characters(exclude_characters='\0')),
)
def test_no_password_survives_whatever_stands_around_it(before, password, after):
    secret = f'Q{password}Q'
    if secret in before or secret in after:
        return
    assert secret not in scrub(f'{before} https://me:{secret}@host/ {after}')
    assert secret not in scrub(f'{before} https://host/?sig={secret} {after}')


def test_long_texts_are_read_once():
    text = 'a' * 1_000_000 + '&' + 'a_' * 100_000 + 'https://' + 'x' * 1_000_000  # hours, were it squared
    assert scrub(text) == text
