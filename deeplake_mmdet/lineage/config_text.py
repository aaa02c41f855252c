"""Reading the config of a checkpoint as data.

MMEngine stores it as Python text, and its own reader imports that text. Whoever made the checkpoint could have written
anything there, so here only literals and calls of ``dict`` are understood, which is all that MMEngine writes.
"""

from __future__ import annotations

import ast
import math
from typing import Any

from deeplake_mmdet.errors import LineageError

_COLLECTIONS: dict[type, Any] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}
_NUMBERS = {'inf': math.inf, 'nan': math.nan}
_HINT = 'The text may have been changed; retrain from the config file itself.'


def values_of(text: str, where: str) -> dict[str, Any]:
    """The values of a config's text, key by key.

    Args:
        text: What MMEngine's ``Config.pretty_text`` gives, or the literal of one dict.
        where: How messages name it.

    Raises:
        LineageError: It is no such text. Nothing of it was run.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LineageError(f'The config of {where} expected Python literals, but got: {error}. {_HINT}') from None
    if len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Dict):
        whole: dict[str, Any] = _value(body[0].value, where)
        return whole
    found = {}
    for statement in body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise _refusal(where, statement)
        found[statement.targets[0].id] = _value(statement.value, where)
    return found


def _value(node: ast.expr, where: str) -> Any:
    if isinstance(node, ast.Call) and _is_dict(node):
        named = {str(keyword.arg): _value(keyword.value, where) for keyword in node.keywords}
        return {**(_value(node.args[0], where) if node.args else {}), **named}
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = (_value(key, where) for key in node.keys if key is not None)
        return dict(zip(keys, (_value(value, where) for value in node.values), strict=True))
    if type(node) in _COLLECTIONS:
        return _COLLECTIONS[type(node)](_value(item, where) for item in node.elts)  # type: ignore[attr-defined]
    if isinstance(node, ast.Name) and node.id in _NUMBERS:
        return _NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _value(node.operand, where)
        if isinstance(operand, int | float):
            return -operand
    if isinstance(node, ast.Constant):
        return node.value
    raise _refusal(where, node)


def _is_dict(call: ast.Call) -> bool:
    """Whether it is ``dict(name=value, …)``, or ``dict({…})``, as keys that are no names are written."""
    named = isinstance(call.func, ast.Name) and call.func.id == 'dict' and all(word.arg for word in call.keywords)
    return named and len(call.args) < 2 and all(isinstance(argument, ast.Dict) for argument in call.args)


def _refusal(where: str, node: ast.AST) -> LineageError:
    shown = ast.unparse(node)
    return LineageError(
        f'The config of {where} expected literals and dict(…), but got {shown[:60]!r} in line '
        f'{getattr(node, "lineno", "?")}, which would be run. {_HINT}'
    )
