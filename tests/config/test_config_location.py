"""Paths: where a dataset is, and the name behind its @."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.config.location import REMOTE_SCHEMES, Location
from deeplake_mmdet.errors import ConfigError


def test_a_local_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', '/home/someone')
    assert Location.parse('data/x/') == Location(f'{tmp_path}/data/x')
    assert Location.parse(Path('data/x')) == Location(f'{tmp_path}/data/x')
    assert Location.parse('~/x') == Location('/home/someone/x')
    assert Location.parse('file:///a/b') == Location('/a/b')


@pytest.mark.parametrize('base', ['/a/b', 's3://bucket/b', 'mem://b'])
def test_the_name_behind_the_last_at_sign_is_split_off(base: str) -> None:
    assert Location.parse(f'{base}@dev') == Location(base, 'dev')
    assert Location.parse(f'{base}@') == Location(base)
    assert Location.parse(base) == Location(base)


@pytest.mark.parametrize('path', ['/a@b/c', 's3://bucket/a@b/c', '/a@b/c@dev', '/a@b@c'])
def test_an_at_sign_further_up_is_refused_because_deep_lake_cannot_open_it(path: str) -> None:
    with pytest.raises(ConfigError, match=r'no @ in the names of folders.*Rename the folder'):
        Location.parse(path)


def test_a_folder_with_an_at_sign_in_its_name_is_refused(tmp_path: Path) -> None:
    os.mkdir(tmp_path / 'photos@home')
    with pytest.raises(ConfigError, match=f"no @ in the names of folders, but got '{tmp_path}/photos@home'"):
        Location.parse(tmp_path / 'photos@home')


@pytest.mark.parametrize('path', [None, '', 3, ['a']])
def test_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ConfigError, match=r'deeplake_path=\) expected the path of a dataset, but got'):
        Location.parse(path)


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"s3://.*mem://|mem://.*s3://.*but got 'ftp://x/y'"):
        Location.parse('ftp://x/y')


def test_what_can_stall_is_remote() -> None:
    assert all(Location.parse(f'{scheme}://a/b').is_remote for scheme in REMOTE_SCHEMES)
    assert not Location.parse('mem://a').is_remote
    assert not Location.parse('/s3/a').is_remote
    assert not Location.parse('s3').is_remote


def test_credentials_in_an_address_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match=r's3://bucket/…, but got credentials in the address') as caught:
        Location.parse('s3://AKIA:hush-hush@bucket/cars')
    assert 'hush-hush' not in str(caught.value)
