"""Files of predictions: `test --out` writes them, and they are read as they were; code in them is never run."""

from __future__ import annotations

import collections
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.evaluation import DumpDetResults
from torch._utils import _rebuild_tensor_v2

from deeplake_mmdet.engine.predictions import read_predictions
from deeplake_mmdet.errors import ConfigError


def sample(img_id: Any, count: int = 3, **more: Any) -> dict[str, Any]:
    """What a model of masks gives for one image."""
    generator = torch.Generator().manual_seed(count)
    found = dict(
        bboxes=torch.rand(200, 4, generator=generator)[5 : 5 + count],  # a part of a larger storage
        scores=torch.rand(count, 2, generator=generator)[:, 0],  # every second number of one
        labels=torch.arange(count),
        masks=torch.rand(count, 6, 7, generator=generator) > 0.5,
    )
    return dict(img_id=img_id, img_path=f'a/{img_id}.jpg', ori_shape=(6, 7), pred_instances=found, **more)


def written(path: Path, *samples: dict[str, Any]) -> str:
    writer = DumpDetResults(out_file_path=str(path))
    writer.process({}, samples)
    writer.evaluate(len(samples))
    return str(path)


class Call:
    """Pickled as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def test_what_was_written_is_read_back_as_it_was(tmp_path):
    samples = [sample(7), sample('b', 0), sample(9, 1, flip=False, scale_factor=np.array([0.5, 2.0]), area=np.int64(3))]
    path = written(tmp_path / 'a.pkl', *samples)
    expected = pickle.loads(Path(path).read_bytes())
    for item, found, made in zip(expected, read_predictions(path), samples, strict=True):
        assert found.keys() == item.keys() == made.keys()
        assert all(found[key] == made[key] for key in ('img_id', 'img_path', 'ori_shape'))
        for name in ('bboxes', 'scores', 'labels'):
            tensor = found['pred_instances'][name]
            assert (
                torch.equal(tensor, made['pred_instances'][name]) and tensor.dtype == made['pred_instances'][name].dtype
            )
        masks = found['pred_instances']['masks']
        assert masks == item['pred_instances']['masks']
        assert all(map(np.array_equal, map(mask_util.decode, masks), made['pred_instances']['masks'].numpy()))
    last = read_predictions(path)[2]
    assert last['flip'] is False and last['scale_factor'].tolist() == [0.5, 2.0] and last['area'] == 3


@pytest.mark.parametrize('protocol', (2, 3, 4))
def test_every_common_protocol_of_pickle_is_read(tmp_path, protocol):
    content = [
        dict(
            sample(1), half=torch.ones(2, dtype=torch.bfloat16), bytes=b'\xff', numbers=np.arange(3.0), none=np.zeros(0)
        )
    ]
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    (found,) = read_predictions(path)
    assert torch.equal(found['pred_instances']['masks'], content[0]['pred_instances']['masks'])
    assert found['half'].dtype == torch.bfloat16 and found['bytes'] == b'\xff'
    assert found['numbers'].tolist() == [0, 1, 2] and found['none'].tolist() == []


@pytest.mark.parametrize(
    ('function', 'named'),
    [(os.system, 'posix.system'), (eval, '__builtin__.eval'), (torch.load, 'torch.serialization.load')],
)
def test_a_call_is_refused_by_name_and_not_made(tmp_path, monkeypatch, function, named):
    monkeypatch.chdir(tmp_path)
    argument = 'open("mark", "w")' if function is eval else 'touch mark'
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([dict(sample(1), more=Call(function, argument))], protocol=2))
    with pytest.raises(ConfigError, match=f"'a.pkl' expected a list .* but got {named}, which could run code"):
        read_predictions('a.pkl')
    assert not Path('mark').exists()


def test_a_call_inside_the_numbers_of_a_tensor_is_refused_and_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = io.BytesIO()
    torch.save(Call(os.system, 'touch mark'), inner, _use_new_zipfile_serialization=False)
    hidden = Call(torch.storage._load_from_bytes, inner.getvalue())
    Path('a.pkl').write_bytes(pickle.dumps([dict(sample(1), more=hidden)], protocol=2))
    with pytest.raises(ConfigError, match='expected a list with one dict an image'):
        read_predictions('a.pkl')
    assert not Path('mark').exists()


def test_a_tensor_cannot_reach_beyond_its_numbers(tmp_path):
    numbers = torch.ones(4).storage()
    beyond = Call(_rebuild_tensor_v2, numbers, 0, (1000,), (1,), False, collections.OrderedDict())
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([dict(sample(1), more=beyond)], protocol=2))
    with pytest.raises(ConfigError, match='storage of size 16'):
        read_predictions(tmp_path / 'a.pkl')


@pytest.mark.parametrize('state', [b'}X\x07\x00\x00\x00restoreK\x01s', b'N}X\x07\x00\x00\x00restoreK\x01s\x86'])
def test_a_file_cannot_change_how_the_next_one_is_read(tmp_path, state):
    # The opcodes of a list that holds a function, with its attributes set to `state`.
    (tmp_path / 'a.pkl').write_bytes(b'\x80\x02]ctorch._utils\n_rebuild_tensor_v2\n' + state + b'ba.')
    with pytest.raises(ConfigError, match='expected a list with one dict an image'):
        read_predictions(tmp_path / 'a.pkl')
    (found,) = read_predictions(written(tmp_path / 'b.pkl', sample(1)))
    assert torch.equal(found['pred_instances']['labels'], torch.arange(3))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'but got Ran out of input'),
        (b'{"a": 1}', 'but got '),
        (pickle.dumps({'a': 1}), 'but got a dict'),
        (pickle.dumps([1]), 'but got a int at place 0'),
        (
            pickle.dumps([sample(1), {'img_id': 1}]),
            r"a dict of \['img_id'\] at place 1, without img_id or pred",
        ),
        (pickle.dumps([{'img_id': 1, 'pred_instances': {'bboxes': 1}}]), 'pred_instances without scores at place 0'),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, message):
    (tmp_path / 'a.pkl').write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_predictions(tmp_path / 'a.pkl')


@pytest.mark.parametrize('part', [0.05, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(tmp_path, part):
    path = Path(written(tmp_path / 'a.pkl', sample(1), sample(2)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(ConfigError, match='expected a list with one dict an image'):
        read_predictions(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'no\.pkl. do not exist\. Write them with `test --out`'):
        read_predictions(tmp_path / 'no.pkl')
