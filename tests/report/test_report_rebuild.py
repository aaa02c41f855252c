"""``deeplake-mmdet report WORK_DIR``: the page again, from files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deeplake_mmdet.cli.main import main
from deeplake_mmdet.errors import ConfigError
from deeplake_mmdet.report.archive import Report
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.subject import Subject
from deeplake_mmdet.report.write import folder_of, rebuild, write_report
from tests.report.test_report_page import IMAGE
from tests.support.evaluations import random_evaluation

ROOT = Path(__file__).parents[2]


def write(run: Path, config: str, *, number: int = 1, age: int = 0) -> Path:
    """The report of one run, written `age` seconds ago; returns its page."""
    evaluation = random_evaluation()
    report = Report(Subject(config, 'test', 'now'), evaluation, [IMAGE])
    folder = folder_of(run, number)
    write_report(report, Outcome.of(evaluation), folder)
    times = (1_700_000_000 - age, 1_700_000_000 - age)
    os.utime(folder / 'evaluation.npz', times)
    return folder / 'index.html'


def test_the_page_of_the_newest_run_is_made_again(tmp_path, capsys):
    old, new = write(tmp_path / '1', 'old.py', age=60), write(tmp_path / '2', 'new.py')
    before = new.read_text()
    old.unlink()
    new.unlink()
    assert main(['report', str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(new)
    assert new.read_text() == before
    assert not old.exists()


def test_all_pages_of_a_run_with_several_metrics_are_made_again(tmp_path):
    pages = [write(tmp_path / '1', 'a.py'), write(tmp_path / '1', 'a.py', number=2)]
    assert rebuild(tmp_path) == pages
    assert pages[1].parent.name == 'report_2'


def test_the_folder_of_a_run_will_do_too(tmp_path):
    old = write(tmp_path / '1', 'old.py', age=60)
    write(tmp_path / '2', 'new.py')
    assert rebuild(tmp_path / '1') == [old]


def test_the_course_of_a_training_that_went_on_is_in_the_page(tmp_path):
    page = write(tmp_path / '1', 'a.py')
    assert '<h2>Training</h2>' not in page.read_text()
    (tmp_path / '1' / 'vis_data').mkdir()
    (tmp_path / '1' / 'vis_data' / 'scalars.json').write_text('{"loss": 1.0, "iter": 1, "step": 1}')
    rebuild(tmp_path)
    assert '<h2>Training</h2>' in page.read_text()


def test_a_work_dir_without_data_says_how_to_get_some(tmp_path):
    (tmp_path / '1' / 'report').mkdir(parents=True)
    with pytest.raises(ConfigError, match=r'expected evaluation\.npz in <timestamp>/report, but holds none\. Evaluate'):
        rebuild(tmp_path)


def test_a_work_dir_that_is_not_there_is_named(tmp_path, capsys):
    assert main(['report', str(tmp_path / 'nowhere')]) == 1
    assert f"ConfigError: The work dir '{tmp_path / 'nowhere'}' does not exist." in capsys.readouterr().err


def test_the_tool_explains_itself_without_loading_what_is_heavy():
    code = (
        'import sys; sys.argv = ["report.py", "--help"]\n'
        'try:\n    import runpy; runpy.run_path("tools/report.py", run_name="__main__")\n'
        'except SystemExit: print([m for m in ("torch", "mmdet", "matplotlib", "jinja2") if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    assert 'WORK_DIR' in done.stdout and done.stdout.strip().endswith('[]')
