"""``deeplake-mmdet doctor``: what is wrong with this environment, and the command that mends each thing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from typing import TextIO

from deeplake_mmdet.doctor import diagnose
from deeplake_mmdet.doctor.environment import Environment, collect
from deeplake_mmdet.doctor.finding import NOTE, OK, PROBLEM, WARNING, Finding

_SIGNS = {OK: '✓', NOTE: 'i', WARNING: '!', PROBLEM: '✗'}
_PLAIN_SIGNS = {**_SIGNS, OK: '+', PROBLEM: 'x'}
_COLOURS = {OK: '32', NOTE: '36', WARNING: '33', PROBLEM: '31'}


def build_parser() -> argparse.ArgumentParser:
    """The options of the verb."""
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet doctor',
        description='Say what is wrong with this environment, and the command that mends it. The exit code is 1 if '
        'there is a problem, else 0.',
    )
    parser.add_argument('--json', action='store_true', help='print the findings and the whole snapshot as JSON')
    return parser


def main(argv: list[str]) -> int:
    """Print the findings; returns 1 if one of them is a problem, else 0."""
    options = build_parser().parse_args(argv)
    env = collect()
    findings = diagnose(env)
    problems = sum(finding.level == PROBLEM for finding in findings)
    if options.json:
        listed = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({'problems': problems, 'findings': listed, 'environment': env.to_dict()}, indent=2))
    else:
        print(report(env, findings, sys.stdout))
    return 1 if problems else 0


def report(env: Environment, findings: list[Finding], stream: TextIO) -> str:
    """The findings as a table for people, in the signs and colours that `stream` can show."""
    width = max(len(finding.subject) for finding in findings)
    table = [line for finding in findings for line in _lines(finding, width, stream)]
    problems = sum(finding.level == PROBLEM for finding in findings)
    verdict = f'Problems: {problems}. Each has its command above.' if problems else 'All is well.'
    version = env.distributions.get('deeplake-mmdet', '(not installed)')
    return '\n'.join([f'deeplake_mmdet {version} on {env.platform}, {_devices(env)}', '', *table, '', verdict])


def _lines(finding: Finding, width: int, stream: TextIO) -> list[str]:
    lines = [f'{_sign(finding.level, stream)} {finding.subject:<{width}}  {finding.text}']
    for i, fix in enumerate(finding.fixes):
        lines.append(f'{"":<{width + 4}}{"mend it: " if i == 0 else "     or: "}{fix}')
    return lines


def _sign(level: str, stream: TextIO) -> str:
    try:
        ''.join(_SIGNS.values()).encode(stream.encoding or 'ascii')
        sign = _SIGNS[level]
    except (UnicodeEncodeError, LookupError):
        sign = _PLAIN_SIGNS[level]
    coloured = stream.isatty() and 'NO_COLOR' not in os.environ
    return f'\033[{_COLOURS[level]}m{sign}\033[0m' if coloured else sign


def _devices(env: Environment) -> str:
    devices = env.probes['torch'].facts.get('devices')
    return ', '.join(f'cuda:{i} {name}' for i, name in enumerate(devices)) if devices else 'no CUDA device'
