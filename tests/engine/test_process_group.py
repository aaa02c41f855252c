"""The processes of a run meet each other, not those of an earlier life, over a network that leads to the first one."""

from __future__ import annotations

import os
import socket
import threading
from datetime import timedelta

import pytest
import torch.distributed as dist
from mmengine.config import Config

from deeplake_mmdet.engine import fresh_store as meeting
from deeplake_mmdet.engine import network, process_group
from deeplake_mmdet.engine.fresh_store import fresh_store
from deeplake_mmdet.engine.process_group import form_group, timeout_of
from deeplake_mmdet.errors import ConfigError


@pytest.fixture
def agent(monkeypatch):
    """The store of an agent of torchrun."""
    store = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', str(store.port))
    return store


def life(agent, ranks: int) -> list[str]:
    """The prefixes that all ranks of a life get, the first rank coming last."""
    found = {}

    def enter(rank: int) -> None:
        client = dist.TCPStore('127.0.0.1', agent.port, is_master=False, timeout=timedelta(seconds=20))
        begin = meeting._begin if rank == 0 else meeting._enter
        found[rank] = begin(client, ranks) if rank == 0 else begin(client, rank, threading.TIMEOUT_MAX)

    threads = [threading.Thread(target=enter, args=(rank,)) for rank in range(ranks)]
    for thread in threads[::-1]:
        thread.start()
        thread.join(0.2)
    for thread in threads:
        thread.join(20)
    return [found[rank] for rank in range(ranks)]


def test_all_processes_of_a_life_share_a_prefix_that_no_other_life_has(agent):
    lives = [life(agent, ranks) for ranks in (2, 3, 1, 2)]
    assert [len(set(prefixes)) for prefixes in lives] == [1] * 4
    assert len({prefixes[0] for prefixes in lives}) == 4


def test_what_an_earlier_life_left_behind_is_not_seen(agent, monkeypatch):
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('WORLD_SIZE', '1')
    for _ in range(2):
        store = fresh_store(timedelta(seconds=20))
        assert not store.check(['address of rank 1'])
        store.set('address of rank 1', 'gone')


def test_a_rank_that_the_first_one_does_not_answer_says_so(agent):
    agent.set('deeplake_mmdet/life', 'earlier')
    agent.set('deeplake_mmdet/earlier/met', 'somebody else')
    with pytest.raises(dist.DistStoreError, match='rank 0 did not answer rank 1'):
        meeting._enter(agent, 1, 0)


@pytest.mark.parametrize('seconds', [0, -1, True, '60', [60]])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(seconds):
    with pytest.raises(ConfigError, match=r'env_cfg\.dist_cfg\.timeout expected a number of seconds above 0, but got'):
        timeout_of(Config(dict(env_cfg=dict(dist_cfg=dict(timeout=seconds)))))


def test_the_timeout_is_that_of_the_config_or_of_torch():
    assert timeout_of(Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=90))))) == timedelta(seconds=90)
    assert timeout_of(Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl'))))) is None
    assert timeout_of(Config({})) is None


@pytest.fixture
def machines(monkeypatch):
    """Sets what a launcher says, and where the way to the first machine begins."""

    def pretend(world: int, here: int | None, address: str | None) -> str | None:
        for name in (network._VARIABLE, *network._ON_THIS_MACHINE):
            os.environ.pop(name, None)
        os.environ.update(MASTER_ADDR='first', WORLD_SIZE=str(world))
        if here is not None:
            os.environ['LOCAL_WORLD_SIZE'] = str(here)
        monkeypatch.setattr(network, '_own_address', lambda first: address if first == 'first' else None)
        monkeypatch.setattr(network, '_interface_of', {'10.0.0.7': 'eth7'}.get)
        network.choose_interface()
        return os.environ.get(network._VARIABLE)

    before = dict(os.environ)
    yield pretend
    os.environ.clear()
    os.environ.update(before)


def test_several_machines_talk_over_the_interface_that_leads_to_the_first(machines):
    assert machines(2, 1, '10.0.0.7') == 'eth7'
    assert machines(2, None, '10.0.0.7') == 'eth7'
    assert machines(2, 2, '10.0.0.7') is None  # all are on this one
    assert machines(2, 1, '10.0.0.8') is None  # which interface has it is not known
    assert machines(2, 1, None) is None


def test_an_interface_that_the_user_names_stays(monkeypatch):
    monkeypatch.setattr(network, '_several_machines', lambda: True)
    monkeypatch.setenv(network._VARIABLE, 'ib0')
    network.choose_interface()
    assert os.environ[network._VARIABLE] == 'ib0'


def test_the_address_and_the_interface_are_found_as_the_system_has_them():
    assert network._own_address('127.0.0.1') is None
    assert network._own_address('no such machine') is None
    assert network._interface_of('192.0.2.1') is None
    if hasattr(socket, 'if_nameindex') and 'lo' in dict(map(reversed, socket.if_nameindex())):
        assert network._interface_of('127.0.0.1') == 'lo'


def test_with_gpus_the_processes_meet_in_the_same_way(agent, monkeypatch):
    """By MMEngine's own function, which chooses the device of the rank."""
    devices: list[int] = []
    used: list[timedelta] = []
    monkeypatch.setattr(process_group, 'fresh_store', lambda timeout: used.append(timeout) or fresh_store(timeout))
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.set_device', devices.append)
    monkeypatch.setattr('mmengine.dist.utils.mp.set_start_method', lambda *_: None)
    for name, value in (('RANK', '0'), ('WORLD_SIZE', '1'), ('LOCAL_RANK', '3')):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('TORCHELASTIC_USE_AGENT_STORE', 'True')
    form_group('pytorch', Config(dict(env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=20)))))
    try:
        assert (devices, used) == ([3], [timedelta(seconds=20)])
    finally:
        dist.destroy_process_group()
