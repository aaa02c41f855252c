"""Looking for secrets in all that a run leaves behind, and failing where a library would say one."""

from __future__ import annotations

import os
import pickle
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

# Where credentials may be given, and what is recognised there.
PLACES = {
    'token': 'SECRETtokenOfTheConfig1',
    'creds': 'SECRETkeyOfTheConfig2',
    'variable': 'SECRETofAConfigVariable3',
    'links': 'SECRETofALink4',
    'endpoint': 'SECRETuser:SECRETpassword5',
    'url': 'SECRETsignatureOfAUrl6',
    'short': 'SECRETofTheShortForm7',
    'environment': 'SECRETofTheEnvironment8',
    'substituted': 'SECRETsubstituted9',
}


def places_with_secrets(folder: Path, texts: Sequence[str] = ()) -> dict[str, list[str]]:
    """Secret to the files below a folder, or ``text N``, in which its bytes are; unpacked and unpickled ones too."""
    found: dict[str, list[str]] = {}
    for name, content in [*_contents(folder), *((f'text {i}', text.encode()) for i, text in enumerate(texts))]:
        for secret in PLACES.values():
            if secret.encode() in content:
                found.setdefault(secret, []).append(name)
    return found


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path for path in folder.rglob('*') if path.is_file() and not path.is_symlink()):
        name = str(file.relative_to(folder))
        yield f'name of {name}', name.encode()
        yield name, file.read_bytes()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                yield f'{name}, unpacked', b''.join(archive.read(part) for part in archive.namelist())
        if file.suffix == '.pth':
            import torch

            yield f'{name}, unpickled', repr(torch.load(file, weights_only=False)).encode()
        elif file.suffix in ('.pkl', '.pickle'):
            yield f'{name}, unpickled', repr(pickle.loads(file.read_bytes())).encode()
        elif file.suffix == '.db':
            with sqlite3.connect(f'file:{file}?mode=ro', uri=True) as store:
                yield f'{name}, dumped', '\n'.join(store.iterdump()).encode()


def say_all() -> None:
    """Fail as a library that puts what it was given into its message.

    Raises:
        RuntimeError: Always, with every secret.
    """
    raise RuntimeError(f'403 Forbidden for {os.environ["SAID_BY_A_LIBRARY"]}')


@TRANSFORMS.register_module(force=True)
class SaysAll(BaseTransform):
    """Fails in the process that reads."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        say_all()
        return results


@HOOKS.register_module(force=True)
class SaysAllAt(Hook):
    """Fails at a point of a training.

    Args:
        point: Name of a method of `Hook`.
    """

    def __init__(self, point: str) -> None:
        setattr(self, point, lambda *args, **kwargs: say_all())
