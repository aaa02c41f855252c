"""torchrun starts a training again after a process died, and it goes on from its last checkpoint by itself."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import deeplake
import pytest
from mmengine.config import Config

from deeplake_mmdet.engine import elastic
from deeplake_mmdet.engine.checkpoint_files import checkpoints_in
from deeplake_mmdet.engine.elastic import go_on, pin_as_before
from tests.support.small_training import batches_of, training, write_images
from tests.support.train_on_ranks import torchrun

ITERATIONS = 12  # three epochs of four
EVERY = 2  # iterations between checkpoints


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('lives') / 'ds', 16)


def of_lives(path: str, work_dir: Path, deaths: list[tuple[int, int]]) -> Config:
    """A training whose ranks die."""
    hooks = [dict(type='BatchLog'), dict(type='tests.support.lives.Dies', at=deaths)]
    return training(path, work_dir, custom_hooks=hooks, default_hooks__checkpoint__interval=EVERY)


def lines_by_iteration(work_dir: Path, rank: int) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for line in batches_of(work_dir, rank):
        found.setdefault(line['iter'], []).append(line)
    return found


def write_checkpoint(folder: Path, name: str, when: int) -> str:
    """A whole file, of which nothing but the name is read here."""
    import torch

    torch.save({}, folder / name)
    os.utime(folder / name, (when, when))
    return str(folder / name)


def test_a_run_whose_ranks_are_killed_goes_on_from_its_own_checkpoints_with_the_losses_of_one_that_is_not(
    path, tmp_path
):
    """The folder holds the last checkpoint of another run, which no life goes on from."""
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    killed.mkdir()
    stale = write_checkpoint(killed, f'iter_{ITERATIONS}.pth', 1000)
    (killed / 'last_checkpoint').write_text(stale)
    runs = [of_lives(path, whole, []), of_lives(path, killed, [(1, 1), (5, 0)])]  # later lives find the first one done
    torchrun(2, runs, tmp_path / 'configs', options=['--max-restarts', '3'])
    assert {file.name for file in killed.glob('died*')} == {'died(1, 1)', 'died(5, 0)'}
    for rank in range(2):
        expected = batches_of(whole, rank)
        assert len(expected) == ITERATIONS
        lives = lines_by_iteration(killed, rank)
        assert sorted(lives) == list(range(ITERATIONS))
        assert all(line == expected[number] for number, lines in lives.items() for line in lines)
        # The second life begins anew, the third after the fourth iteration.
        assert [len(lives[number]) for number in range(6, ITERATIONS)] == [1] * (ITERATIONS - 6)
        assert len(lives[0]) == 2 and len(lives[2]) == len(lives[3]) == 1 and len(lives[4]) == 2


@pytest.fixture
def life(monkeypatch, tmp_path):
    """Pretends to be a process that an agent of torchrun started; gives a fresh config of the run."""

    def begin(agent: str | None, **keys: Any) -> Config:
        monkeypatch.setattr(elastic, '_begun', Counter())
        for name in [name for name in os.environ if name.startswith('TORCHELASTIC_')]:
            monkeypatch.delenv(name)
        if agent:
            monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
            monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', f'/tmp/torchelastic_x/none_{agent}/attempt_1/0/error.json')
        return Config(dict(work_dir=str(tmp_path), **keys))

    return begin


def decided(config: Config) -> tuple[bool | None, str | None]:
    go_on(config)
    return config.get('resume'), config.get('load_from')


def test_checkpoints_of_a_run_before_are_left_alone_until_this_one_writes_its_own(life, tmp_path):
    write_checkpoint(tmp_path, 'iter_9.pth', 1000)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_9.pth'))
    assert decided(life('a', load_from='given.pth')) == (None, 'given.pth')
    config = life('a', load_from='given.pth')
    assert go_on(config) == [f'torchrun started this run again, and {tmp_path} has no checkpoint of it: it begins.']
    assert config.load_from == 'given.pth'
    own = write_checkpoint(tmp_path, 'iter_3.pth', 500)  # by a clock that is behind
    assert decided(life('a', load_from='given.pth')) == (True, own)
    own = write_checkpoint(tmp_path, 'iter_9.pth', 2000)  # written over that of the run before
    config = life('a')
    assert go_on(config) == [f'torchrun started this run again: it goes on from {own}.']


def test_a_damaged_checkpoint_of_an_earlier_life_is_passed_over(life, tmp_path):
    go_on(life('a'))
    own = write_checkpoint(tmp_path, 'iter_1.pth', 1000)
    (tmp_path / 'iter_2.pth').write_bytes(b'half')
    assert decided(life('a')) == (True, own)


def test_a_run_of_another_agent_is_another_run(life, tmp_path):
    go_on(life('a'))
    write_checkpoint(tmp_path, 'iter_1.pth', 1000)
    assert decided(life('b')) == (None, None)
    assert decided(life('b', resume=True)) == (True, None)  # as its user asks
    assert decided(life('a')) == (None, None)  # what was noted of it is gone


def test_a_run_keeps_its_checkpoints_while_one_of_its_agents_lives(life, tmp_path, monkeypatch):
    from mmengine import dist

    with monkeypatch.context() as machines:
        machines.setattr(dist, 'all_gather_object', lambda mine: [mine, mine.replace('none_a', 'none_b')])
        go_on(life('a'))
    own = write_checkpoint(tmp_path, 'iter_1.pth', 1000)
    assert decided(life('b')) == (True, own)


def test_a_second_training_of_the_same_processes_is_another_run(life, tmp_path):
    go_on(life('a'))
    write_checkpoint(tmp_path, 'iter_1.pth', 1000)
    second = Config(dict(work_dir=str(tmp_path), load_from='stage_1.pth'))
    assert decided(second) == (None, 'stage_1.pth')
    life('a')  # all begins anew, and the first training is not what was noted last
    assert decided(Config(dict(work_dir=str(tmp_path)))) == (None, None)


def test_without_torchrun_nothing_is_noted_and_nothing_resumed(life, tmp_path):
    assert decided(life(None)) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_was_cut_short_is_none(life, tmp_path):
    go_on(life('a'))
    note = tmp_path / elastic._NOTE
    note.write_text(note.read_text()[:20])
    write_checkpoint(tmp_path, 'iter_1.pth', 1000)
    assert decided(life('a')) == (None, None)
    assert set(json.loads(note.read_text())['before']) == {'iter_1.pth'} == set(checkpoints_in(str(tmp_path)))


def test_later_lives_read_the_commit_of_the_first_whatever_happened_to_the_head(life, tmp_path, make_dataset):
    from deeplake_mmdet.engine.resolved_once import pin_together

    path = make_dataset()

    def pinned(agent: str, splits: tuple[str, ...] = ('train',), **keys: Any) -> str:
        dataset = dict(type='DeepLakeDataset', deeplake_path=path, **keys)
        config = life(agent, **{f'{split}_dataloader': dict(dataset=dict(dataset)) for split in splits})
        pin_together(config, splits)
        go_on(config)
        return config[f'{splits[0]}_dataloader'].dataset.deeplake_commit_id

    first = pinned('a')
    writable = deeplake.open(path)
    writable.delete(0)
    writable.commit('one row less')
    assert pinned('a') == first != writable.version
    assert pinned('a', deeplake_commit_id=writable.version) == writable.version
    assert pinned('b') == writable.version
    config = life('b', test_dataloader=dict(dataset=dict(type='DeepLakeDataset', deeplake_path=path)))
    pin_as_before(config, ('test',))
    assert 'deeplake_commit_id' not in config.test_dataloader.dataset
