"""``deeplake-mmdet lineage CHECKPOINT|WORK_DIR``: what a run was made of, and what became of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from deeplake_mmdet.cli.source_arguments import add_creds, read_creds


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet lineage',
        description='Print the record of a run, open its data again, and say whether they are what they were. '
        'The exit code is 1 if any of them is gone, changed or unreadable.',
    )
    parser.add_argument('run', metavar='CHECKPOINT|WORK_DIR', help='a checkpoint, a work dir, or its lineage.json')
    parser.add_argument('--json', action='store_true', help='print the record as JSON')
    parser.add_argument('--no-check', action='store_true', help='do not open the data')
    add_creds(parser)
    return parser


def main(argv: list[str]) -> int:
    """Prints, and returns the exit code."""
    options = build_parser().parse_args(argv)
    from deeplake_mmdet.cli.quiet import quietly  # --help need not load PyTorch
    from deeplake_mmdet.lineage.data_status import UNCHANGED, UNTOLD, data_status, weights_status
    from deeplake_mmdet.lineage.reading import read_run

    credentials = read_creds(options.creds)
    record = read_run(options.run).record
    entries = [entry for split in record['data'].values() for entry in split]
    states = {}
    if not options.no_check:
        with quietly():
            states = {entry['key']: data_status(entry, credentials) for entry in entries}
        if weights := weights_status(record):
            states['load_from'] = weights
    if options.json:
        told = {
            key: {'state': found.state, 'detail': found.detail, 'head': found.head} for key, found in states.items()
        }
        print(json.dumps({**record, 'status': told}, indent=1))
    else:
        _print(record, states)
    return int(any(found.state not in (UNCHANGED, UNTOLD) for found in states.values()))


def _print(record: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    from deeplake_mmdet.versions.text_table import text_table

    print(text_table(('record', ''), list(_facts(record, states))))
    for entries in record['data'].values():
        for entry in entries:
            rows = [*_dataset(entry)]
            if entry['key'] in states:
                rows.append(('today', str(states[entry['key']])))
            print('\n' + text_table((entry['key'], ''), rows))
    for title, rows in (('metrics', _metrics(record)), ('checkpoints', _checkpoints(record))):
        if rows:
            print('\n' + text_table((title, ''), rows))


def _facts(record: Mapping[str, Any], states: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    run, code = record['run'], record['code']
    changed = {True: ', with changes', False: '', None: ''}[code['dirty']]
    yield 'run', run['id']
    yield 'started', run['started']
    yield 'command', ' '.join(run['command'])
    yield 'seed', run['seed']
    yield 'processes', run['world_size']
    if run.get('load_from'):
        digest = run.get('load_from_sha256')
        yield 'weights from', run['load_from'] + (f' (sha256 {digest[:12]})' if digest else '')
    if 'load_from' in states:
        yield 'weights today', states['load_from']
    if before := run['continues']:
        yield 'continues', f'run {before["run"] or "without a record"} ({before["how"]}) at {before["iteration"]}'
    yield 'config', f'{record["config"]["file"]} (sha256 {record["config"]["digest"][:12]})'
    yield 'code', f'deeplake_mmdet {code["version"]}, repository {(code["commit"] or "none")[:12]}{changed}'
    yield 'libraries', ', '.join(f'{name} {version}' for name, version in record['libraries'].items() if version)


def _dataset(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield 'data', f'{entry["uri"]} @ {entry["branch"]}:{entry["commit_id"]}'
    for name in ('view_id', 'query'):
        if entry[name]:
            yield name, entry[name]
    yield 'rows', f'{entry["rows"]}, of which {entry["samples"]} are samples'
    yield 'digest', entry['digest']
    yield 'columns', ', '.join(f'{role}={name}' for role, name in entry['columns'].items())
    yield 'classes', ', '.join(entry['classes'])
    yield 'boxes', f'{entry["bbox_format"]["mode"]} {entry["bbox_format"]["type"]}'


def _metrics(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, f'{value:.4g}') for name, value in record['metrics'].items()]


def _checkpoints(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(entry['file'], f'sha256 {entry["sha256"]}') for entry in record['checkpoints']]
