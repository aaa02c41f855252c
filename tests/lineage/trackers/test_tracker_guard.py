"""No tracker stops a run, slows it, or fails without a word."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.visualization import (
    BaseVisBackend,
    LocalVisBackend,
    MLflowVisBackend,
    TensorboardVisBackend,
    Visualizer,
)

from deeplake_mmdet.errors import TrackerError
from deeplake_mmdet.lineage.trackers import attach
from deeplake_mmdet.lineage.trackers.attach import guard_backends
from deeplake_mmdet.lineage.trackers.courier import LIMITS
from deeplake_mmdet.lineage.trackers.guarded import GuardedBackend
from tests.support.children import in_child, run_script


class Backend(BaseVisBackend):
    """Keeps what it is given; fails and waits as it is told."""

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__(save_dir)
        self.calls: list[tuple[Any, ...]] = []
        self.threads: set[threading.Thread] = set()
        self.failures: dict[str, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.own_attribute = 7

    def _init_env(self) -> None:
        pass

    @property
    def experiment(self) -> Any:
        self._note('experiment')
        return self

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self._note('add_config', config)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        self._note('add_graph', model)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        self._note('add_image', name, image, step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self._note('add_scalar', name, value, step)

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any) -> None:
        self._note('add_scalars', scalar_dict, step)

    def close(self) -> None:
        self._note('close')

    def _note(self, name: str, *args: Any) -> None:
        self.gate.wait(200)
        self.threads.add(threading.current_thread())
        self.calls.append((name, *args))
        if name in self.failures:
            raise self.failures[name]

    @property
    def made(self) -> list[str]:
        return [name for name, *_ in self.calls if name != 'experiment']


@pytest.fixture
def backend() -> Any:
    backend = Backend()
    yield backend
    backend.gate.set()


def test_calls_are_made_in_their_order_by_one_thread_that_is_not_the_callers(backend):
    guard = GuardedBackend(backend)
    guard.add_config(Config(dict(a=1)))
    for step in range(20):
        guard.add_scalars({'loss': 1.0, 'iter': step}, step)
    guard.add_scalar('lr', 0.1, 20)
    guard.submit('the lineage', lambda given: given._note('submitted'))
    guard.close()
    assert backend.made == ['add_config', *['add_scalars'] * 20, 'add_scalar', 'submitted', 'close']
    assert [call[2] for call in backend.calls if call[0] == 'add_scalars'] == list(range(20))
    assert len(backend.threads) == 1
    assert threading.main_thread() not in backend.threads


def test_a_tracker_that_does_not_answer_keeps_no_call_and_the_end_only_for_a_while(backend, warnings_logged):
    backend.gate.clear()  # nobody opens it before the run has ended
    guard = GuardedBackend(backend, 'Slow', patience=0.2)
    guard.add_config(Config(dict(a=1)))
    for step in range(50):
        guard.add_scalars({'loss': 1.0, 'iter': step}, step)
    guard.close()
    assert backend.calls == []
    (told,) = warnings_logged
    assert 'Slow did not answer within 0.2 s' in told
    assert '50 of losses' in told
    assert '1 of the config' in told


def test_a_failure_after_the_end_is_not_told_again(backend, warnings_logged):
    backend.failures['experiment'] = OSError('late')
    backend.gate.clear()
    guard = GuardedBackend(backend, 'Slow', patience=0.2)
    guard.add_scalar('loss', 1.0)
    guard.close()
    backend.gate.set()
    guard._courier._thread.join(10)
    assert len(warnings_logged) == 1


def test_of_more_calls_than_may_wait_losses_are_left_out_and_metrics_are_kept(backend, warnings_logged, monkeypatch):
    monkeypatch.setitem(LIMITS, 'losses', 5)
    backend.gate.clear()
    guard, busy = GuardedBackend(backend, 'Slow'), threading.Event()
    guard.submit('the lineage', lambda given: (busy.set(), given._note('submitted')))
    backend.gate.set()
    busy.wait(30)
    backend.gate.clear()
    guard.submit('the lineage', lambda given: given.gate.wait(30))
    for step in range(50):
        guard.add_scalars({'loss': 1.0, 'iter': step}, step)
    guard.add_scalars({'coco/bbox_mAP': 0.5}, 1)
    guard.submit('the lineage', lambda given: given._note('submitted'))
    backend.gate.set()
    guard.close()
    assert [call[2] for call in backend.calls if call[0] == 'add_scalars' and 'iter' in call[1]] == [0, 1, 2, 3, 4]
    assert ('add_scalars', {'coco/bbox_mAP': 0.5}, 1) in backend.calls
    assert backend.made.count('submitted') == 2
    full, lost = warnings_logged
    assert 'losses are left out' in full
    assert '45 of losses' in lost


def test_a_failing_call_is_one_warning_that_names_tracker_call_and_consequence(backend, warnings_logged):
    backend.failures['add_image'] = OSError('disk full')
    guard = GuardedBackend(backend, 'W&B')
    for step in range(3):
        guard.add_image('a', np.zeros((2, 2, 3), np.uint8), step)
    guard.add_scalars({'loss': 1.0}, 1)
    guard.close()
    failed, lost = warnings_logged
    assert failed.startswith('The tracker W&B could not record images: OSError: disk full. The run goes on')
    assert 'Traceback' not in failed
    assert 'lacks calls of this run: 3 of images' in lost
    assert 'add_scalars' in backend.made


def test_calls_that_always_fail_are_given_up_and_the_others_are_not(backend, warnings_logged):
    backend.failures['add_image'] = OSError('no')
    guard = GuardedBackend(backend)
    for step in range(30):
        guard.add_image('a', np.zeros((2, 2, 3), np.uint8), step)
        guard.add_scalar('loss', 1.0, step)
    guard.close()
    assert backend.made.count('add_image') == 5
    assert backend.made.count('add_scalar') == 30
    assert any('No further images are sent' in line for line in warnings_logged)
    assert '30 of images' in warnings_logged[-1]


def test_a_failure_that_passes_gives_nothing_up(backend, warnings_logged):
    guard = GuardedBackend(backend)
    for step in range(12):
        guard.ask('a pause', lambda step=step: backend.failures.update({'add_scalar': OSError('busy')}))
        guard.add_scalar('loss', 1.0, step)
        guard.ask('a pause', backend.failures.clear)
        guard.add_scalar('loss', 1.0, step)
    guard.close()
    assert backend.made.count('add_scalar') == 24
    assert not any('No further' in line for line in warnings_logged)


def test_a_tracker_that_cannot_begin_is_given_up_after_three_attempts(backend, warnings_logged):
    backend.failures['experiment'] = ConnectionError('refused')
    guard = GuardedBackend(backend, 'MLflow')
    for step in range(10):
        guard.add_scalar('loss', 1.0, step)
    guard.close()
    assert [name for name, *_ in backend.calls] == ['experiment'] * 3
    assert 'could not record the run: ConnectionError: refused' in warnings_logged[0]
    assert 'The tracker is given up' in warnings_logged[1]
    assert '10 of losses' in warnings_logged[2]


def test_a_tracker_that_is_not_installed_says_how_to_install_it_and_is_asked_once(backend, warnings_logged):
    backend.failures['experiment'] = ModuleNotFoundError("No module named 'tracker.api'", name='tracker.api')
    guard = GuardedBackend(backend, 'Tracker')
    for step in range(4):
        guard.add_scalar('loss', 1.0, step)
    guard.close()
    assert len(backend.calls) == 1
    assert 'not installed' in warnings_logged[0]
    assert 'pip install tracker.' in warnings_logged[0]


def test_a_strict_tracker_raises_in_the_run_at_its_next_call(backend, warnings_logged):
    backend.failures['add_scalar'] = OSError('disk full')
    guard = GuardedBackend(backend, 'W&B', strict=True)
    guard.add_scalar('loss', 1.0)
    guard._courier.wait(10)
    with pytest.raises(TrackerError, match=r'W&B could not record losses: OSError: disk full'):
        guard.add_scalar('loss', 1.0)
    with pytest.raises(TrackerError, match='lacks calls of this run: 1 of losses'):
        guard.close()


def test_a_strict_tracker_raises_when_it_is_closed(backend):
    backend.failures['close'] = OSError('disk full')
    guard = GuardedBackend(backend, 'W&B', strict=True)
    guard.add_scalar('loss', 1.0)
    with pytest.raises(TrackerError, match=r'could not record the end of the run: OSError: disk full'):
        guard.close()


def test_what_is_sent_is_what_it_was_when_it_was_sent(backend):
    backend.gate.clear()
    guard = GuardedBackend(backend)
    scalars, image, config = {'loss': np.ones(2)}, np.zeros((2, 2, 3), np.uint8), Config(dict(a=dict(b=1)))
    guard.add_scalars(scalars, 1)
    guard.add_image('a', image)
    guard.add_config(config)
    scalars['loss'][:], image[:], config.a.b = 9, 9, 9
    scalars['other'] = 1
    backend.gate.set()
    guard.close()
    sent = {name: args for name, *args in backend.calls}
    assert list(sent['add_scalars'][0]) == ['loss']
    assert sent['add_scalars'][0]['loss'].tolist() == [1, 1]
    assert not sent['add_image'][1].any()
    assert sent['add_config'][0].a.b == 1


def test_a_config_arrives_without_the_passwords_in_its_urls(backend):
    guard = GuardedBackend(backend)
    config = Config(dict(load_from='https://me:geheim@host/a.pth', nested=[dict(url='http://h/a?sig=geheim')], n=1))
    guard.add_config(config)
    guard.close()
    sent = backend.calls[1][1]
    assert 'geheim' not in sent.pretty_text
    assert sent.load_from == 'https://***@host/a.pth'
    assert sent.n == 1
    assert config.load_from == 'https://me:geheim@host/a.pth'


def test_the_experiment_is_the_backends_and_waited_for_with_an_end(backend):
    guard = GuardedBackend(backend, 'Slow', patience=0.2)
    assert guard.experiment is backend
    backend.gate.clear()
    with pytest.raises(TrackerError, match='Slow expected to give the experiment, but did not answer'):
        _ = guard.experiment
    backend.gate.set()
    guard.close()


def test_the_experiment_of_a_tracker_that_fails_says_why(backend):
    backend.failures['experiment'] = ConnectionError('refused')
    guard = GuardedBackend(backend, 'W&B')
    with pytest.raises(TrackerError, match='expected to give the experiment, but: ConnectionError: refused'):
        _ = guard.experiment
    guard.close()


def test_a_tracker_bound_to_its_thread_is_used_there_through_its_experiment(backend):
    guard = GuardedBackend(backend, in_thread=True)
    guard.experiment.add_scalar('mine', 1.0)
    assert guard.experiment.own_attribute == 7
    guard.close()
    assert 'add_scalar' in backend.made
    assert threading.main_thread() not in backend.threads


def test_a_model_is_watched_before_the_run_goes_on(backend):
    guard = GuardedBackend(backend)
    model = object()
    guard.add_graph(model, None)
    assert ('add_graph', model) in backend.calls
    guard.close()


def test_after_the_end_nothing_is_recorded_and_that_is_said_once(backend, warnings_logged):
    guard = GuardedBackend(backend, 'W&B')
    guard.add_scalar('loss', 1.0)
    guard.close()
    guard.close()
    guard.add_scalar('loss', 1.0)
    guard.add_scalar('loss', 1.0)
    assert backend.made == ['add_scalar', 'close']
    assert warnings_logged == ['The tracker W&B is closed; what comes after is not recorded.']


def test_a_run_that_recorded_nothing_does_not_begin_one_in_the_tracker_only_to_end_it(backend):
    GuardedBackend(backend).close()
    assert backend.calls == []


def test_a_run_that_ends_without_closing_its_tracker_is_recorded_as_abandoned(backend):
    ends = []
    guard = GuardedBackend(backend, changes={'abandon': lambda given: ends.append(given)})
    guard.add_scalar('loss', 1.0)
    guard._at_exit()
    assert ends == [backend]
    assert backend.made == ['add_scalar']


def _use_in_child(connection: Any, guard: GuardedBackend) -> None:
    guard.add_scalar('loss', 1.0)
    guard.submit('the lineage', print)
    guard._at_exit()
    guard.close()
    connection.send('done')


def test_a_process_forked_while_the_tracker_is_at_work_neither_waits_nor_records(backend):
    guard = GuardedBackend(backend)
    backend.gate.clear()
    guard.add_scalar('loss', 1.0)
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with guard._courier._changed:
            held.set()
            free.wait(100)

    holder = threading.Thread(target=hold)  # as a fork may find the tracker's thread
    holder.start()
    held.wait(10)
    assert in_child('fork', _use_in_child, guard) == 'done'
    free.set()
    holder.join(10)
    backend.gate.set()
    guard.close()
    assert backend.made == ['add_scalar', 'close']


def test_what_a_guard_does_not_know_it_has_from_the_backend(backend):
    guard = GuardedBackend(backend)
    assert guard.own_attribute == 7
    assert guard.wrapped is backend
    with pytest.raises(AttributeError, match='no_such'):
        _ = guard.no_such


def test_guarding_twice_guards_once_and_leaves_the_local_backend(backend, work_dir):
    visualizer = Visualizer(vis_backends=[LocalVisBackend(str(work_dir)), backend])
    assert guard_backends(visualizer) == []
    guards = dict(visualizer._vis_backends)
    assert guard_backends(visualizer) == []
    assert visualizer._vis_backends == guards
    assert type(visualizer.get_backend('LocalVisBackend')) is LocalVisBackend
    assert visualizer.get_backend('Backend').wrapped is backend
    visualizer.add_scalars({'loss': 1.0, 'iter': 1}, 1)
    visualizer.close()
    assert backend.made == ['add_scalars', 'close']


def test_other_ranks_have_no_sinks(work_dir, monkeypatch):
    monkeypatch.setattr(attach, 'is_main_process', lambda: False)
    visualizer = Visualizer(vis_backends=[TensorboardVisBackend(str(work_dir))])
    assert guard_backends(visualizer) == []
    visualizer.close()


class OwnMlflow(MLflowVisBackend):
    """A user's own."""

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        pass


def test_a_users_own_subclass_is_known_and_keeps_what_it_defines(work_dir):
    visualizer = Visualizer(vis_backends=[OwnMlflow(str(work_dir))])
    (sink,) = guard_backends(visualizer, work_dir=str(work_dir))
    assert sink.tracker == 'MLflow'
    changes = visualizer.get_backend('OwnMlflow')._changes
    assert 'add_image' not in changes
    assert 'add_scalars' in changes


def test_a_visualizer_that_was_closed_is_guarded_anew(backend, work_dir):
    visualizer = Visualizer(vis_backends=[backend], save_dir=str(work_dir))
    for _ in range(2):
        guard_backends(visualizer)
        visualizer.add_scalar('loss', 1.0)
        visualizer.close()
    assert backend.made == ['add_scalar', 'close'] * 2


def test_a_program_may_end_while_a_tracker_hangs():
    code = (
        'from tests.lineage.trackers.test_tracker_guard import Backend\n'
        'from deeplake_mmdet.lineage.trackers import guarded\n'
        'guarded._AT_EXIT = 0.2\n'
        'backend = Backend(); backend.gate.clear()\n'
        'guard = guarded.GuardedBackend(backend); guard.add_scalar("loss", 1.0)\n'
    )
    done = run_script(code, timeout=100)  # the backend itself waits longer
    assert done.returncode == 0, done.stderr
    assert 'Not recorded: 1 of losses' in done.stdout + done.stderr
