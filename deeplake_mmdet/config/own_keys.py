"""What a config file says itself, as opposed to what it inherits.

MMEngine merges a config with its bases and forgets which was which. But a number that a stock config brings along may
be replaced, and one that the user wrote may not.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from typing import Any


class NotLiteral:
    """Stands for a value that only running the file would give."""


def own_values(filename: str | None) -> dict[str, Any]:
    """The values that a config file assigns by itself.

    Args:
        filename: A config in Python; of any other file, or none, nothing is known.

    Returns:
        Dotted key to value; `NotLiteral` for values that are expressions. Only assignments at the top level count,
        and dicts and lists are looked into.
    """
    values: dict[str, Any] = {}
    for node in parsed(filename).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.update(_below(target.id, node.value))
    return values


def inherits(filename: str | None) -> bool:
    """Whether a config file has bases, by ``_base_`` or by imports; one that has none says everything itself."""
    tree = parsed(filename)
    assigned = {
        t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)
    }
    return '_base_' in assigned or inherits_by_imports(tree)


def inherits_by_imports(tree: ast.Module) -> bool:
    """Whether a config file has MMEngine's ``with read_base():``."""
    return any('read_base' in ast.dump(node) for node in tree.body if isinstance(node, ast.With))


def parsed(filename: str | None) -> ast.Module:
    """The syntax tree of a config file; an empty one if there is no such file."""
    if not filename or not filename.endswith('.py') or not os.path.isfile(filename):
        return ast.Module(body=[], type_ignores=[])
    with open(filename, encoding='utf-8') as file:
        return ast.parse(file.read())


def _below(key: str, node: ast.expr) -> Iterator[tuple[str, Any]]:
    items: list[tuple[Any, ast.expr]] | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        items = [(keyword.arg, keyword.value) for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        items = [(getattr(name, 'value', None), value) for name, value in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, (ast.List, ast.Tuple)):
        items = list(enumerate(node.elts))
    if items is None:
        yield key, _literal(node)
        return
    for name, child in items:
        yield from _below(f'{key}.{name}', child)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return NotLiteral
