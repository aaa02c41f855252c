"""What tests run in other processes: importable by name, whatever the start method."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def digests(handle: Any, column: str, rows: Sequence[int]) -> list[str]:
    """Hashes of what a handle reads."""
    return [hashlib.sha256(data).hexdigest() for data in handle.read(column, rows)]


def report(connection: Any, handle: Any, column: str, rows: Sequence[int]) -> None:
    """Send whether the handle arrived open, the hashes of what it reads, and its identity; or an error as text."""
    try:
        was_open = handle.is_open
        connection.send((was_open, digests(handle, column, rows), handle.rows.tolist(), handle.revision))
    except Exception as error:
        connection.send(f'{type(error).__name__}: {error}')


def in_child(method: str, target: Any, *args: Any) -> Any:
    """Run ``target(connection, *args)`` in a child process; gives what it sends, or its exit code as text."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=target, args=(theirs, *args))
    child.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(60) else 'no answer'
    except EOFError:
        child.join(10)
        return f'exit code {child.exitcode}'
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()


def run_script(code: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh interpreter in which every warning is an error."""
    command = [sys.executable, '-W', 'error::UserWarning', '-c', code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)
