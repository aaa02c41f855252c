"""The names of MMDetection 2's stock configs, and what MMDetection 3 calls them.

``zoo_names.json`` was made from the metafiles of mmdet 2.28.2 and 3.x: the same weights belong to the same model.
Configs without weights were matched by name and looked at one by one. Only what was renamed is listed. 23 stock configs
(for Ascend, RF-Next, SSD and FCOS in half precision) have no successor.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import json
import os
from pathlib import Path

_TABLE = Path(__file__).with_name('zoo_names.json')


@functools.lru_cache(maxsize=1)
def renamed() -> dict[str, str]:
    """Old to new name, both as ``folder/name.py``."""
    table = json.loads(_TABLE.read_text(encoding='utf-8'))
    return {f'{folder}/{old}.py': f'{folder}/{new}.py' for folder, names in table.items() for old, new in names.items()}


@functools.lru_cache(maxsize=1)
def folder() -> str | None:
    """Where the installed MMDetection keeps its configs; None if it has none."""
    spec = importlib.util.find_spec('mmdet')
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [os.path.join(place, '.mim', 'configs') for place in places]
    return next((place for place in found if os.path.isdir(place)), None)


def find(name: str) -> str | None:
    """The stock config that is meant.

    Args:
        name: Its path below ``configs``, of MMDetection 2 or 3, with or without ``.py``.

    Returns:
        Its path in the installed MMDetection; None if there is none.
    """
    name = name if name.endswith('.py') else f'{name}.py'
    for candidate in (name, renamed().get(name)):
        if candidate and folder() and os.path.isfile(os.path.join(folder() or '', candidate)):
            return candidate
    return None


def find_by_path(path: str) -> str | None:
    """The stock config that a path into some checkout of MMDetection means, judged by its last two or three parts."""
    parts = path.replace('\\', '/').split('/')
    below = parts[len(parts) - parts[::-1].index('configs') :] if 'configs' in parts else []
    for tail in (below, parts[-3:], parts[-2:]):
        found = find('/'.join(tail)) if len(tail) > 1 else None
        if found:
            return found
    return None


def closest(name: str, count: int = 3) -> list[str]:
    """Stock configs with a similar name, best first."""
    names = {**{new: new for new in _all()}, **renamed()}
    near = difflib.get_close_matches(name, names, n=2 * count, cutoff=0.5)
    return list(dict.fromkeys(names[one] for one in near))[:count]


def _all() -> list[str]:
    root = folder()
    return [path.relative_to(root).as_posix() for path in Path(root).rglob('*.py')] if root else []
