"""Machines with a network between them: namespaces of Linux with addresses of their own, joined by a cable."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.support.children import ROOT

# An agent of torchrun that comes anew does not find the store that the other agents share with their processes.
_AROUND = {'TORCH_DISABLE_SHARE_RDZV_TCP_STORE': '1'}


class Machines:
    """Two machines, ``0`` and ``1``, until the end of a ``with`` block. They share the files of the real one."""

    def __init__(self) -> None:
        name = uuid.uuid4().hex[:6]
        self.addresses = ['10.213.77.1', '10.213.77.2']
        self._names = [f'dl{name}{number}' for number in range(2)]
        self._links = [f'{name}v{number}' for number in range(2)]
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Machines:
        if shutil.which('ip') is None or os.geteuid() != 0:
            pytest.skip('network namespaces take root, and the command ip of iproute2')
        try:
            for name in self._names:
                _ip('netns', 'add', name)
            _ip('link', 'add', self._links[0], 'type', 'veth', 'peer', 'name', self._links[1])
            for name, link, address in zip(self._names, self._links, self.addresses, strict=True):
                _ip('link', 'set', link, 'netns', name)
                _ip('-n', name, 'address', 'add', f'{address}/24', 'dev', link)
                for device in ('lo', link):
                    _ip('-n', name, 'link', 'set', device, 'up')
        except subprocess.CalledProcessError as error:
            self.__exit__()
            pytest.skip(f'this machine makes no network namespaces: {error.stderr.strip()}')
        return self

    def __exit__(self, *_: object) -> None:
        for machine, name in enumerate(self._names):
            self.kill_all(machine)
            subprocess.run(['ip', 'netns', 'delete', name], capture_output=True, check=False)
        for child in self._children:
            child.wait(20)

    def start(self, machine: int, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program on a machine; both of its outputs are appended to a file."""
        around = {**os.environ, **_AROUND, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
        inside = ['ip', 'netns', 'exec', self._names[machine], *command]
        with open(log, 'ab') as output:
            child = subprocess.Popen(inside, env=around, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        self._children.append(child)
        return child

    def cut_off(self, machine: int) -> None:
        """Pull the cable out of a machine."""
        _ip('-n', self._names[machine], 'link', 'set', self._links[machine], 'down')

    def reconnect(self, machine: int) -> None:
        """Put it back."""
        _ip('-n', self._names[machine], 'link', 'set', self._links[machine], 'up')

    def kill_all(self, machine: int) -> None:
        """Kill all programs of a machine at once."""
        found = subprocess.run(
            ['ip', 'netns', 'pids', self._names[machine]], capture_output=True, text=True, check=False
        )
        for pid in map(int, found.stdout.split()):
            os.kill(pid, signal.SIGKILL)


def _ip(*arguments: str) -> None:
    subprocess.run(['ip', *arguments], capture_output=True, text=True, check=True)
