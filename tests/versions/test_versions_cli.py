"""What the verbs print, and the exit codes by which scripts go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deeplake_mmdet.cli.main import main
from tests.support.street import name_of, objects_of

CAR = "select * where contains(categories, 'car')"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one verb."""
    code = main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize('verb', ['query', 'views', 'log', 'branches', 'diff', 'edit'])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, '--help'])
    assert ended.value.code == 0
    assert f'usage: deeplake-mmdet {verb}' in capsys.readouterr().out


def test_query_counts_lists_and_saves(
    street: str, document: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, 'query', street, CAR, '--save-view', 'cars', '--message', 'why')
    rows = [row for row, items in enumerate(objects_of(document)) if 'car' in map(name_of, items)]
    objects = sum(name_of(item) == 'car' for item in document['annotations'])
    assert (code, err) == (0, '')
    lines = out.splitlines()
    assert lines[0].startswith(f'{street} @ main:')
    assert lines[1] == f'{len(rows)} of 24 rows ({100 * len(rows) / 24:.1f} %) are selected.'
    assert lines[3].split() == ['class', 'images', 'objects', '%', 'of', 'all', 'objects']
    assert ['car', str(len(rows)), str(objects), '100.0'] in [line.split() for line in lines]
    assert f'… and {len(rows) - 10} more' in lines
    assert lines[-2].startswith("Saved as view 'cars' of main:")
    assert lines[-1] == f"Train on it with deeplake_path='{street}', deeplake_view_id='cars'."
    code, out, _ = run(capsys, 'views', street)
    assert [line.split()[:2] for line in out.splitlines()] == [
        ['view', 'rows'],
        ['all', '24'],
        ['cars', str(len(rows))],
    ]
    assert 'why' in out.splitlines()[2]
    assert CAR in out.splitlines()[2]


def test_query_limits_joins_and_notes(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert '3 of 24 rows' in run(capsys, 'query', street, CAR, '--limit', '3')[1]
    assert '4 of 24 rows' in run(capsys, 'query', street, 'select * limit 3', 'select * limit 1 offset 9')[1]
    assert '24 of 24 rows' in run(capsys, 'query', street)[1]
    out = run(capsys, 'query', f'{street}@all', "select * where categories == 'car'")[1]
    assert 'note: The query "select * where categories == \'car\'" compares categories without any() or all()' in out


def test_query_as_json_has_the_same_numbers(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, 'query', street, CAR, '--json', '--save-view', 'cars')[1])
    assert (found['of_rows'], found['queries'], found['view']) == (24, [CAR], 'cars')
    assert found['rows'] == next(item['images'] for item in found['classes'] if item['name'] == 'car')
    assert len(found['first_rows']) == 10
    assert found['first_rows'][0]['file_name'].endswith('.jpg')


def test_query_draws_rows_of_any_selection(street: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / 'drawn'
    code, out, _ = run(capsys, 'query', street, 'select * where img_id > 200', '--show', '--out', str(folder))
    assert code == 0
    assert sorted(file.name for file in folder.iterdir()) == [f'row_{row:06}.jpg' for row in range(20, 24)]
    assert all(str(file) in out for file in folder.iterdir())
    code, _, _ = run(capsys, 'query', street, 'select * limit 1 offset 7', '--show', '--out', str(tmp_path / 'one'))
    assert [file.name for file in (tmp_path / 'one').iterdir()] == ['row_000007.jpg']
    assert run(capsys, 'query', street, '--show')[2].startswith('ConfigError: query expected --out FOLDER with --show')


def test_query_says_what_is_wrong(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, 'query', street, 'select * wher img_id > 3')
    assert (code, out) == (1, '')
    assert '\n  select * wher img_id > 3\n                ^\n' in err
    code, _, err = run(capsys, 'query', street, CAR, '--message', 'why')
    assert (code, err) == (
        1,
        'ConfigError: query expected --save-view NAME with --message. Name the view that the message is for.\n',
    )
    assert run(capsys, 'query', street, CAR, '--save-view', 'all')[0] == 1


def test_edit_log_branches_and_diff_tell_one_story(
    street: str, document: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(row for row, items in enumerate(objects_of(document)) if len(items) > 2)
    items = objects_of(document)[row]
    other = 'bus' if name_of(items[1]) != 'bus' else 'car'
    code, out, err = run(
        capsys,
        *('edit', street, '--branch', 'cleaned', '--create-branch', '--message', 'two corrections'),
        *('--drop-row', '20', '23', '--drop-object', f'{row}:0', '--relabel', f'{row}:1={other}'),
    )
    assert (code, err) == (0, '')
    lines = out.splitlines()
    assert [line.partition(' (')[0] for line in lines[:4]] == [
        'dropped row 20',
        'dropped row 23',
        f'dropped object 0 of row {row}',
        f'relabelled object 1 of row {row}',
    ]
    assert lines[4].startswith(f'committed as {street} @ cleaned:')
    assert lines[4].endswith('22 rows: two corrections')
    assert 'two corrections' in run(capsys, 'log', f'{street}@cleaned')[1]
    assert 'two corrections' not in run(capsys, 'log', street)[1]
    names = [line.split()[0] for line in run(capsys, 'branches', street)[1].splitlines()]
    assert names == ['branch', 'main', 'cleaned']
    code, out, _ = run(capsys, 'diff', street, f'{street}@cleaned')
    assert code == 1
    assert 'rows: 0 added, 2 removed, 1 changed, 21 equal' in out
    assert f'  - img_id {10 * 20 + 3}, row 20 of a' in out
    changed = 'boxes, categories, areas, iscrowd, ann_ids, masks'
    said = f'(objects: 1 dropped, 1 relabelled: {name_of(items[1])} → {other})'
    assert f'  ~ img_id {10 * row + 3}, row {row}: {changed} {said}' in out
    assert 'objects: 0 added, 1 dropped, 0 moved, 1 relabelled' in out


def test_diff_has_exit_codes_for_scripts(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, 'diff', street, f'{street}@all')
    assert (code, out.splitlines()[-1]) == (0, 'nothing differs')
    run(capsys, 'query', street, 'select * where img_id > 20', '--save-view', 'less')
    code, out, _ = run(capsys, 'diff', street, f'{street}@less', '--json', '--without', 'images', 'masks')
    found = json.loads(out)
    assert (code, found['differs'], found['removed'], found['left_out']) == (
        1,
        True,
        [[3, 0], [13, 1]],
        ['images', 'masks'],
    )
    code, _, err = run(capsys, 'diff', street, f'{street}@nowhere')
    assert code == 2
    assert err.startswith("RevisionNotFoundError: DeepLakeDataset(deeplake_path=) names 'nowhere'")


def test_diff_cuts_long_lists(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, 'query', street, 'select * limit 1', '--save-view', 'one')
    out = run(capsys, 'diff', street, f'{street}@one')[1]
    assert '    … and 3 more' in out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--drop-object', '8-2'], '--drop-object expected ROW:INDEX, such as 8:2, but got '),
        (['--relabel', '3:0'], '--relabel expected ROW:INDEX=CLASS, such as 3:0=bus, but got '),
        (['--tensors', 'gt_labels'], '--tensors expected ROLE=COLUMN, but got '),
        (['--drop-row', '99'], 'expected a row of 0 to 23'),
        ([], 'edit expected at least one change'),
    ],
)
def test_edit_says_what_is_wrong(
    street: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, 'edit', street, '--branch', 'main', '--message', 'm', *arguments)
    assert (code, out) == (1, '')
    assert message in err


@pytest.mark.parametrize('verb', ['views', 'log', 'branches'])
def test_lists_are_json_for_machines(street: str, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, verb, street, '--json')[1])
    assert found[0]['time'].startswith('20')
    assert {'views': 'name', 'log': 'changes', 'branches': 'base'}[verb] in found[0]


def test_the_columns_that_an_import_lists_do_not_fill_the_table_of_views(
    street: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, 'query', street, 'select img_id, "split" where height > 3', '--save-view', 'two')
    _, all_rows, two = run(capsys, 'views', street)[1].splitlines()
    assert all_rows.endswith('select … where "split" == \'all\'')
    assert two.endswith('select img_id, "split" where height > 3')
    assert 'file_name' in json.loads(run(capsys, 'views', street, '--json')[1])[0]['query']


def test_options_of_several_values_add_up(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit = ['edit', street, '--branch', 'main', '--message', 'm']
    assert run(capsys, *edit, '--drop-row', '3', '--drop-row', '5', '7')[0] == 0
    assert '21 of 21 rows' in run(capsys, 'query', street)[1]


def test_views_are_deleted_by_name(street: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, 'views', street, '--delete', 'all')
    assert (code, out.startswith("Deleted the view 'all' (24 rows of main:")) == (0, True)
    assert run(capsys, 'views', street)[1].startswith(f'{street} has no saved view.')
    code, _, err = run(capsys, 'views', street, '--delete', 'all')
    assert code == 1
    assert "names 'all', which is no view of" in err
