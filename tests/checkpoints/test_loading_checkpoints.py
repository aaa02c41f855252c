"""Checkpoints: what MMEngine writes is read back as it was, and what could run code is refused, and does not run."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleLR
from mmengine.optim.scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader

from deeplake_mmdet.checkpoints.hidden_address import without_secrets
from deeplake_mmdet.checkpoints.loading import load_from_http, load_from_local, register_loaders
from deeplake_mmdet.errors import CheckpointError

ARRAYS = {
    'float64': np.array([0.1, np.nan, -np.inf]),
    'empty': np.array([]),
    'columns first': np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    'no dimension': np.array(3),
    'int64': np.array([[-1], [2**62]]),
    'uint8': np.array([255], np.uint8),
    'bool': np.array([True, False]),
    'complex': np.array([1 + 2j]),
    'big endian': np.array([1, 2], '>i4'),
}


class Reduced:
    """Pickled as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call

    def __call__(self) -> None:
        """Only what can be called is pickled as a function."""


def history(values: list[float]) -> HistoryBuffer:
    buffer = HistoryBuffer(max_length=5)
    for value in values:
        buffer.update(value, 2)
    return buffer


def checkpoint(**more: Any) -> dict:
    """What MMEngine saves, in small."""
    hub = dict(log_scalars=dict(loss=history([0.5, 0.25]), none=HistoryBuffer()), runtime_info=dict(iter=7, **more))
    weights = dict(weight=torch.arange(6.0).reshape(2, 3), half=torch.ones(2, dtype=torch.bfloat16))
    return dict(meta=dict(epoch=1, dataset_meta=dict(classes=('a', 'b'))), state_dict=weights, message_hub=hub)


def save(path: Path, content: Any, **kwargs: Any) -> str:
    torch.save(content, path, **kwargs)
    return str(path)


def same_array(found: Any, expected: np.ndarray) -> bool:
    return type(found) is type(expected) and found.dtype == expected.dtype and np.array_equal(found, expected, True)


@pytest.fixture
def schemes():
    """MMEngine's table of loaders, given back as it was."""
    before = dict(CheckpointLoader._schemes)
    yield before
    CheckpointLoader._schemes = before


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_what_mmengine_saves_is_read_as_by_the_unrestricted_pickle(tmp_path, zipped):
    path = save(tmp_path / 'a.pth', checkpoint(), _use_new_zipfile_serialization=zipped)
    found, expected = load_from_local(path), torch.load(path, weights_only=False)
    assert found['meta'] == expected['meta']
    assert all(torch.equal(found['state_dict'][key], value) for key, value in expected['state_dict'].items())
    for key, buffer in expected['message_hub']['log_scalars'].items():
        mine = found['message_hub']['log_scalars'][key]
        assert type(mine) is HistoryBuffer and vars(mine).keys() == vars(HistoryBuffer()).keys()
        assert all(same_array(mine, theirs) for mine, theirs in zip(mine.data, buffer.data, strict=True))
        assert mine.max_length == buffer.max_length


@pytest.mark.parametrize('strategy', ['cos', 'linear'])
def test_a_one_cycle_schedule_that_was_read_goes_on_as_if_it_had_not_been_saved(tmp_path, strategy):
    def begin() -> tuple[OneCycleLR, torch.optim.Optimizer]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
        return OneCycleLR(optimizer, eta_max=1.0, total_steps=9, anneal_strategy=strategy), optimizer

    def steps(schedule: OneCycleLR, optimizer: torch.optim.Optimizer) -> list[float]:
        return [(optimizer.step(), schedule.step(), optimizer.param_groups[0]['lr'])[2] for _ in range(4)]

    (schedule, optimizer), (other, other_optimizer) = begin(), begin()
    steps(schedule, optimizer)
    state = load_from_local(save(tmp_path / 'a.pth', [schedule.state_dict(), optimizer.state_dict()]))
    other.load_state_dict(state[0])
    other_optimizer.load_state_dict(state[1])
    assert steps(other, other_optimizer) == steps(schedule, optimizer)


def test_a_history_that_was_read_goes_on_and_is_saved_again(tmp_path):
    buffer = load_from_local(save(tmp_path / 'a.pth', history([1.0, 3.0])))
    buffer.update(5.0, 2)
    again = load_from_local(save(tmp_path / 'b.pth', buffer))
    assert again.mean() == 1.5 and again.statistics('max') == 5.0 and again.current() == 5.0


@pytest.mark.parametrize('array', ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays_keep_values_type_and_shape_and_can_be_written(tmp_path, array):
    found = load_from_local(save(tmp_path / 'a.pth', [dict(x=(array,))]))[0]['x'][0]
    assert same_array(found, array)
    found[...] = 0


@pytest.mark.parametrize('scalar', [np.float64(0.1), np.float32(0.1), np.int64(-5), np.bool_(True)])
def test_numbers_of_numpy_keep_value_and_type(tmp_path, scalar):
    found = load_from_local(save(tmp_path / 'a.pth', checkpoint(best=scalar)))['message_hub']['runtime_info']['best']
    assert type(found) is type(scalar) and found == scalar


@pytest.mark.parametrize('core', [b'numpy.core.', b'numpy._core.'])
def test_checkpoints_of_numpy_1_and_of_numpy_2_are_read_by_either(tmp_path, core):
    path = Path(save(tmp_path / 'a.pth', history([4.0]), _use_new_zipfile_serialization=False))
    path.write_bytes(path.read_bytes().replace(b'numpy._core.', b'numpy.core.').replace(b'numpy.core.', core))
    assert load_from_local(str(path)).data[0].tolist() == [4.0]


def attacks(mark: Path) -> dict[str, tuple[Any, str]]:
    """What would write the file `mark`, or take bytes for addresses; and the words of the refusal."""
    scalar = np.float64(0).__reduce__()[0]
    not_a_value = 'a class or a function where a value belongs'
    return {
        'a command': (Reduced(os.system, f'touch {mark}'), r'posix\.system'),
        'a process': (Reduced(subprocess.Popen, ['touch', str(mark)]), r'\.Popen'),
        'an evaluation': (Reduced(eval, f'open({str(mark)!r}, "w")'), 'but got eval'),
        'an import': (Reduced(__import__, 'antigravity'), 'but got __import__'),
        'getattr': (Reduced(getattr, HistoryBuffer, 'mean'), not_a_value),
        'a class': (np.ndarray, not_a_value),
        'another method': (Reduced(getattr, OneCycleParamScheduler, 'step'), not_a_value),
        'a call of what getattr gives': (Reduced(Reduced(getattr, HistoryBuffer, 'mean')), 'unrecognized function'),
        'an array of objects': (np.array([True], object), 'an array of .O8., not of numbers'),
        'an array of addresses': (Reduced(np.ndarray, (1,), 'O', bytes(8)), not_a_value),
        'an object by its address': (Reduced(scalar, np.dtype('O'), bytes(8)), 'an array of .O8., not of numbers'),
        'a structure': (np.zeros(1, 'i4,O'), 'not of numbers'),
    }


@pytest.mark.parametrize('name', attacks(Path('mark')))
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_what_could_run_code_is_refused_by_name_and_does_not_run(tmp_path, name, zipped):
    mark = tmp_path / 'mark'
    content, words = attacks(mark)[name]
    path = save(tmp_path / 'a.pth', checkpoint(x=content), _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=words) as refused:
        load_from_local(path)
    assert path in str(refused.value) and not mark.exists()


def test_the_refusal_says_what_to_do(tmp_path):
    path = save(tmp_path / 'a.pth', Reduced(os.system, 'true'))
    with pytest.raises(CheckpointError, match=r"If you trust its author.*weights_only=False\)\['state_dict'\], NEW\)"):
        load_from_local(path)


def test_a_history_that_is_read_does_not_change_how_mmengine_computes_statistics(tmp_path):
    state = dict(vars(history([1.0])), statistics_methods={'mean': HistoryBuffer.max})

    class Forged(HistoryBuffer):
        def __reduce__(self) -> tuple:
            return HistoryBuffer, (), state

    load_from_local(save(tmp_path / 'a.pth', Forged()))
    assert HistoryBuffer._statistics_methods['mean'] is HistoryBuffer.mean


def test_a_file_that_was_cut_short_is_named(tmp_path):
    path = Path(save(tmp_path / 'a.pth', checkpoint()))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r'a\.pth.* cannot be read, it may be cut short'):
        load_from_local(str(path))


@pytest.mark.parametrize('content', [b'', b'not a checkpoint\n', b'\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N.'])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'a\.pth'):
        load_from_local(str(tmp_path / 'a.pth'))


def test_what_a_user_allowed_is_read_and_stays_allowed_as_it_was(tmp_path):
    theirs = [slice, np.dtype, (np.ndarray, 'numpy.ndarray')]
    path = save(tmp_path / 'a.pth', [slice(1, 2), history([4.0])])
    with torch.serialization.safe_globals(theirs):
        found = load_from_local(path)
        assert set(torch.serialization.get_safe_globals()) >= set(theirs)
    assert found[0] == slice(1, 2) and found[1].data[0].tolist() == [4.0]
    with pytest.raises(CheckpointError, match='slice'):
        load_from_local(path)


def test_mmengine_reads_local_files_through_this_loader_once_registered(tmp_path, schemes):
    bad, good = save(tmp_path / 'a.pth', Reduced(eval, '1')), save(tmp_path / 'b.pth', history([4.0]))
    register_loaders()
    register_loaders()
    assert CheckpointLoader.load_checkpoint(good, logger=None).current() == 4.0
    with pytest.raises(CheckpointError, match='eval'):
        CheckpointLoader.load_checkpoint(bad, logger=None)


def test_before_torch_2_6_mmengines_own_loaders_stay(monkeypatch, schemes):
    monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
    register_loaders()
    assert {name: load for name, load in CheckpointLoader._schemes.items() if name != 'vault:'} == schemes


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The address of a web server over the test's folder."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_checkpoints_from_the_web_are_read_by_the_same_rules(tmp_path, schemes, url):
    save(tmp_path / 'good.pth', checkpoint())
    save(tmp_path / 'bad.pth', Reduced(os.system, f'touch {tmp_path / "mark"}'))
    assert load_from_http(f'{url}/good.pth')['message_hub']['log_scalars']['loss'].current() == 0.25
    register_loaders()
    with pytest.raises(CheckpointError, match=r'bad\.pth.*posix\.system'):
        CheckpointLoader.load_checkpoint(f'{url}/bad.pth', logger=None)
    assert not (tmp_path / 'mark').exists()


def test_a_signed_address_is_neither_shown_nor_needed_to_load(tmp_path, schemes, url, capfd):
    save(tmp_path / 'good.pth', checkpoint())
    save(tmp_path / 'bad.pth', Reduced(os.system, 'true'))
    register_loaders()
    good, bad = (without_secrets(f'{url}/{name}.pth?X-Amz-Signature=hunter2') for name in ('good', 'bad'))
    assert 'hunter2' not in good + bad
    loaded = CheckpointLoader.load_checkpoint(good, logger=None)
    assert loaded['message_hub']['log_scalars']['loss'].current() == 0.25
    with pytest.raises(CheckpointError, match='could run code') as refusal:
        CheckpointLoader.load_checkpoint(bad, logger=None)
    assert 'hunter2' not in str(refusal.value)
    assert 'hunter2' not in ''.join(capfd.readouterr())


@pytest.mark.parametrize('address', [None, 'work_dirs/a.pth', 'https://models.example.org/a.pth?version=2'])
def test_other_addresses_stay(address):
    assert without_secrets(address) == address


def test_a_file_that_is_trusted_is_read_whatever_it_holds(tmp_path, schemes):
    path = save(tmp_path / 'old.pth', {'state_dict': {}, 'meta': {'made_by': Reduced(str, 7)}})
    with pytest.raises(CheckpointError, match='add --trust-checkpoint'):
        load_from_local(path)
    register_loaders(trusted=True)
    assert CheckpointLoader.load_checkpoint(path, logger=None)['meta']['made_by'] == '7'
    register_loaders()
    with pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(path, logger=None)
