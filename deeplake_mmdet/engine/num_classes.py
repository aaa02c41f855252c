"""The number of classes of every head, taken from the dataset.

A stock config says 80, because COCO has 80 classes. That number is replaced. A number that the user's own config file
sets is his word: if it is wrong, it is an error and not replaced.
"""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

from deeplake_mmdet.config.own_keys import inherits_by_imports, own_values, parsed
from deeplake_mmdet.config.upgrade.bases import read_config
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.errors import ConfigError

# Parts of a detector whose `num_classes` is not the number of classes of the dataset.
_OTHER_MEANING = ('backbone', 'rpn_head', 'semantic_head', 'data_preprocessor', 'init_cfg', 'pretrained')
_KEYS = ('num_classes', 'num_things_classes')
# Of most stock configs; where nothing tells what is inherited, any other number is taken for the user's.
_STOCK = 80


def head_keys(model: Any, key: str = 'model') -> Iterator[tuple[str, MutableMapping[str, Any], str]]:
    """Every place in a model's config that holds the number of classes: dotted key, dict, name in the dict."""
    if isinstance(model, MutableMapping):
        for name, child in model.items():
            if name in _KEYS and isinstance(child, int):
                yield f'{key}.{name}', model, name
            elif name not in _OTHER_MEANING:
                yield from head_keys(child, f'{key}.{name}')
    elif isinstance(model, (list, tuple)):
        for i, child in enumerate(model):
            yield from head_keys(child, f'{key}.{i}')


def fit_heads(config: Any, classes: tuple[str, ...], filename: str | None, overrides: Iterable[str] = ()) -> list[str]:
    """Set the number of classes of every head.

    Args:
        config: The run's config; changed in place.
        classes: Class names of the dataset.
        filename: The config file, to tell what it inherits; None if there is none.
        overrides: Dotted keys that the command line sets.

    Returns:
        What was changed, for the log.

    Raises:
        ConfigError: The user's own config sets another number.
    """
    inherited, own = inherited_numbers(filename), own_keys(filename) | set(overrides)
    changes = []
    for key, node, name in list(head_keys(config.get('model', {}))):
        number = node[name]
        if number == len(classes):
            continue
        if key in own or (number != _STOCK if inherited is None else inherited.get(key) != number):
            raise ConfigError(
                f'{key} is {number}, but the dataset has {len(classes)} classes: {list(classes)}. '
                f'Remove the key, which is then set from the dataset, or set it to {len(classes)}. '
                'To train on some classes only, set metainfo=dict(classes=(…)) of the dataset.'
            )
        node[name] = len(classes)
        changes.append(f'{key}: {number} -> {len(classes)}, the number of classes of the dataset')
        _fit_class_weights(node, number, len(classes))
    return changes


def _fit_class_weights(node: MutableMapping[str, Any], old: int, new: int) -> None:
    """Losses of query-based heads list a weight a class, and one for the background."""
    loss = node.get('loss_cls')
    if not isinstance(loss, MutableMapping):
        return
    weights = loss.get('class_weight')
    if isinstance(weights, (list, tuple)) and len(weights) == old + 1 and len(set(weights[:-1])) == 1:
        loss['class_weight'] = [weights[0]] * new + [weights[-1]]


def inherited_numbers(filename: str | None) -> dict[str, int] | None:
    """The numbers of classes that a config file inherits from its ``_base_`` files, by dotted key.

    None where that cannot be told: the config inherits by Python imports (``read_base()``), or its file is gone.
    """
    if not filename or not os.path.isfile(filename):
        return None
    tree = parsed(filename)
    if inherits_by_imports(tree):
        return None
    bases = _bases(tree, filename)
    if not bases:
        return {}
    with tempfile.NamedTemporaryFile('w', suffix='.py', encoding='utf-8') as file:
        file.write(f'_base_ = {bases!r}\n')
        file.flush()
        base = read_config(file.name, Notes())
    return {key: node[name] for key, node, name in head_keys(base.get('model', {}))}


def own_keys(filename: str | None) -> set[str]:
    """The dotted keys of class numbers that a config file sets by itself, in ``model = dict(…)``."""
    return {key for key in own_values(filename) if key.startswith('model.') and key.rpartition('.')[2] in _KEYS}


def _bases(tree: ast.Module, filename: str | None) -> list[str]:
    """The ``_base_`` entries of a config file, relative ones made absolute."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == '_base_' for t in node.targets):
            # An expression that MMEngine has evaluated before, when it read the file.
            value = eval(compile(ast.Expression(node.value), str(filename), 'eval'))
            folder = os.path.dirname(os.path.abspath(str(filename)))
            names = [value] if isinstance(value, str) else list(value)
            return [name if '::' in name else os.path.normpath(os.path.join(folder, name)) for name in names]
    return []
