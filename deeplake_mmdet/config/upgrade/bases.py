"""Reading a config whose ``_base_`` is MMDetection 2's name of a stock config, or a path into a checkout that is gone.

MMEngine resolves bases while it parses a file, and by the file's text. So where a base has another name today, a copy
of the file is parsed, in a temporary folder, in which only ``_base_`` is rewritten; everything that depends on where
the file is has been filled in before. Bases that exist are used as they are, whatever they are called. Only configs in
Python are looked into; those in YAML and JSON are read as MMEngine does.
"""

from __future__ import annotations

import ast
import os
import re
import tempfile
from dataclasses import dataclass, field
from typing import Any

from deeplake_mmdet.config.upgrade import zoo
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.errors import ConfigError

_VARIABLE = re.compile(r'\{\{\s*\$(\w+)\s*:\s*(\S*?)\s*\}\}')
_SCOPE = 'mmdet::'


def read_config(filename: str, notes: Notes | None = None) -> Any:
    """Read a config file as `mmengine.Config.fromfile` does, and find stock configs that have other names now.

    Args:
        filename: The config file.
        notes: Takes which base stands for which; without it, the log does.

    Returns:
        An ``mmengine.Config`` with ``filename`` as its file name.

    Raises:
        ConfigError: A base neither exists nor is known as a stock config.
    """
    from mmengine.config import Config
    from mmengine.logging import print_log

    with tempfile.TemporaryDirectory() as folder:
        copies = _Copies(folder)
        path = os.path.abspath(os.path.expanduser(filename))
        read = copies.of(path)
        if read == path:
            return Config.fromfile(filename)
        config = Config.fromfile(read)
    for old, new in copies.found.items():
        if notes is not None:
            notes.translated(f'_base_ {old!r}', repr(new))
        else:
            print_log(f'_base_ {old!r} -> {new!r}', 'current')
    text = config.text
    for original, copy in copies.made.items():
        text = text.replace(copy, original)
    return Config(config._cfg_dict, cfg_text=text, filename=filename, env_variables=config.env_variables)


@dataclass
class _Copies:
    """The files that had to be rewritten.

    Attributes:
        folder: Where they are written.
        made: Original path to path of the copy.
        found: Base as written to stock config, in the order in which they were met.
    """

    folder: str
    made: dict[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)

    def of(self, path: str) -> str:
        """The path of a file to parse in the place of ``path``: itself, or a copy with other bases."""
        if path in self.made:
            return self.made[path]
        if not path.endswith('.py'):
            return path
        with open(path, encoding='utf-8') as file:
            text = _filled_in(file.read(), path)
        statement = _base_statement(text)
        entries = _entries(statement)
        if statement is None or entries is None:
            return path
        resolved = [self._resolve(entry, path) for entry in entries]
        if all(new == _absolute(entry, path) for entry, new in zip(entries, resolved, strict=True)):
            return path
        copy = os.path.join(self.folder, str(len(self.made)), os.path.basename(path))
        os.makedirs(os.path.dirname(copy))
        with open(copy, 'w', encoding='utf-8') as file:
            file.write(_replaced(text, statement, f'_base_ = {resolved!r}'))
        self.made[path] = copy
        return copy

    def _resolve(self, entry: str, path: str) -> str:
        """A base as an absolute path or as ``mmdet::…``, both of which mean the same everywhere."""
        if '::' in entry:
            name = entry.removeprefix(_SCOPE)
            stock = zoo.find(name)
            if name == entry or zoo.folder() is None or stock in (name, f'{name}.py'):
                return entry
        else:
            place = _absolute(entry, path)
            for candidate in (place, f'{place}.py'):
                if os.path.isfile(candidate):
                    return self.of(candidate)
            stock = zoo.find_by_path(place)
        if stock is None:
            raise ConfigError(_missing(entry, path))
        self.found[entry] = _SCOPE + stock
        return _SCOPE + stock


def _missing(entry: str, path: str) -> str:
    name = '/'.join(entry.removeprefix(_SCOPE).split('/')[-2:])
    near = ', '.join(repr(_SCOPE + one) for one in zoo.closest(name)) or "'mmdet::FOLDER/NAME.py'"
    return (
        f'{os.path.basename(path)}: _base_ expected a config file that exists or a stock config of MMDetection 2 or 3, '
        f'but got {entry!r}. Correct the path, or take one of the closest stock configs: {near}.'
    )


def _absolute(entry: str, path: str) -> str:
    """A base as a path, which its file is beside; a stock config's name stays."""
    return entry if '::' in entry else os.path.normpath(os.path.join(os.path.dirname(path), entry))


def _filled_in(text: str, path: str) -> str:
    """The text with MMEngine's variables of the file name, as they are where the file really is."""
    name, extension = os.path.splitext(os.path.basename(path))
    values = {
        'fileDirname': os.path.dirname(path),
        'fileBasename': os.path.basename(path),
        'fileBasenameNoExtension': name,
        'fileExtname': extension,
    }
    for key, value in values.items():
        text = re.sub(r'\{\{\s*' + key + r'\s*\}\}', value.replace('\\', '/'), text)
    return text


def _base_statement(text: str) -> ast.Assign | None:
    """The assignment to ``_base_``; None where there is none, or the file cannot be parsed (MMEngine says why)."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return None
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == '_base_':
            return node
    return None


def _entries(statement: ast.Assign | None) -> list[str] | None:
    """The bases; None if they are no literal strings."""
    if statement is None:
        return None
    try:
        value = ast.literal_eval(statement.value)
    except ValueError:
        return None
    entries = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(entry, str) for entry in entries):
        return None
    return [_VARIABLE.sub(lambda found: os.environ.get(found[1], found[2]), entry) for entry in entries]


def _replaced(text: str, statement: ast.Assign, new: str) -> str:
    """The text with another statement in the place of one, and with all lines where they were."""
    lines = text.encode().split(b'\n')
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    before, after = lines[first][: statement.col_offset], lines[last][statement.end_col_offset :]
    lines[first : last + 1] = [before + new.encode(), *[b''] * (last - first)]
    lines[last] += after
    return b'\n'.join(lines).decode()
