"""Opened objects of format 3 as data: the keys that name their rows, as Deep Lake itself gives these."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from deeplake_mmdet.config.dataset_spec import DatasetSpec
from deeplake_mmdet.errors import ConfigError, SourceError
from deeplake_mmdet.source.adopted import adopt, release
from deeplake_mmdet.source.handle import SourceHandle

FIRST = 'firstdbf9474d461a19e9333c2fd19b46115348f'  # the id of every first commit of format 3


def opened(source: str, *queries: str) -> Any:
    view = deeplake.query(f'select * from "{source}"')
    for query in queries:
        view = view.query(query)
    return view


def numbers(values: Any) -> list[int]:
    return [int(np.asarray(value).item()) for value in values]


@pytest.mark.parametrize(
    ('name', 'queries', 'expected', 'pins'),
    [
        ('', (), [1, 2, 3, 4, 5, 6], {}),
        (f'@{FIRST}', (), [0, 1, 2, 3], {'commit_id': FIRST}),
        ('@dev', ('select * where number > 2', 'select * order by number desc'), [101, 100, 3], {'branch': 'dev'}),
        (f'@{FIRST}', ('select images, boxes, categories, number where number > 1',), [2, 3], {'commit_id': FIRST}),
        ('/.queries/copy', (), [5, 1], {'view_id': 'copy'}),
    ],
)
def test_the_keys_name_version_branch_or_view(
    unpacked: Path, name: str, queries: tuple[str, ...], expected: list[int], pins: dict[str, str]
) -> None:
    path = str(unpacked / 'history')
    view = opened(f'{path}{name}', *queries)
    keys = adopt(view)
    assert keys['deeplake_path'] == path
    assert {f'deeplake_{pin}': value for pin, value in pins.items()}.items() <= keys.items()
    handle = SourceHandle.resolve(DatasetSpec.from_config(keys))
    assert numbers(handle.read_columns(['number'], 0, len(handle))[0]) == numbers(view['number'][:]) == expected
    assert handle.read('images', handle.rows) == list(view['images'].get_bytes(slice(0, len(view))))
    assert handle.revision.commit_id == keys['deeplake_commit_id']


def test_a_random_order_is_read_from_the_object(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, str]] = []
    monkeypatch.setattr('mmengine.logging.print_log', lambda text, logger, level: said.append((level, text)))
    path = str(unpacked / 'history')
    view = opened(path, 'select * order by random()')
    keys = adopt(view)
    handle = SourceHandle.resolve(DatasetSpec.from_config(keys))
    assert keys['deeplake_path'].startswith('opened://')
    assert numbers(handle.read('number', handle.rows)) == numbers(view['number'][:])
    assert handle.revision.uri == path
    assert str(handle.revision).startswith(f'{path} @ (commit unknown), {keys["deeplake_path"]} (select * from ')
    assert [(level, text.endswith('its query draws rows by lot.')) for level, text in said] == [(logging.WARNING, True)]
    release(keys['deeplake_path'])


def test_linked_images_are_compared_too(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unpacked)
    keys = adopt(opened('linked'))
    assert keys['deeplake_path'] == str(unpacked / 'linked')


def test_a_tensor_that_cannot_be_read_and_is_not_needed_stays_untouched(unpacked: Path) -> None:
    keys = adopt(opened(str(unpacked / 'stuck')))
    assert keys['deeplake_path'] == str(unpacked / 'stuck')


def test_bare_row_numbers_of_a_saved_view_are_refused(unpacked: Path) -> None:
    path = str(unpacked / 'history')
    with pytest.raises(ConfigError, match=f"ds_train= expected rows.*deeplake_path='{path}', deeplake_view_id='even'"):
        adopt(opened(f'{path}/.queries/even'), argument='ds_train=')


def test_damage_is_not_read_through_an_opened_object_either(copied: Callable[[str], Path]) -> None:
    path = copied('history')
    view = opened(f'{path}@{FIRST}')
    chunk = next((path / 'boxes' / 'chunks').iterdir())
    chunk.write_bytes(chunk.read_bytes()[:-4])
    with pytest.raises(SourceError, match=r"of tensor 'boxes' is cut"):
        adopt(view)
