"""No credential stays in a config: MMEngine copies it into the work dir, the log, every checkpoint and the tracker."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from deeplake_mmdet.config.credentials import Credentials, stash
from deeplake_mmdet.errors import ConfigError

CREDENTIALS_KEY = 'deeplake_credentials'


def hide_credentials(config: Any) -> None:
    """Replace all credentials by references into the vault, wherever in the config they stand.

    Configs often build a dataset from variables (``train_dataset = dict(…)``, ``creds = dict(…)``), which stay in the
    config as keys of their own. So every ``deeplake_credentials`` is replaced, and every string that is one of their
    secrets.

    Args:
        config: An MMEngine config; changed in place.

    Raises:
        ConfigError: Credentials of a wrong form.
    """
    hidden: set[str] = set()
    for key, node in list(_mappings('', config)):
        try:
            credentials = Credentials.from_config(node.get(CREDENTIALS_KEY))
        except ConfigError as error:
            raise ConfigError(f'{key.lstrip(".")}: {error}') from None
        if credentials:
            node[CREDENTIALS_KEY] = stash(credentials)
            hidden |= credentials.secrets()
    if hidden:
        _blank(config, hidden)


def _mappings(key: str, node: Any) -> Iterator[tuple[str, MutableMapping[str, Any]]]:
    """Every mapping that holds credentials, with its key."""
    if hasattr(node, 'items'):
        if CREDENTIALS_KEY in node:
            yield key, node
        for name, child in list(node.items()):
            yield from _mappings(f'{key}.{name}', child)
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _mappings(f'{key}.{i}', child)


def _blank(node: Any, hidden: set[str]) -> Any:
    """`node` with every hidden string replaced; mappings and lists are changed in place."""
    if isinstance(node, str):
        return '***' if node in hidden else node
    if hasattr(node, 'items'):
        for name, child in list(node.items()):
            # Writing back what did not change would turn MMEngine's lazy objects into the classes that they stand for.
            if name != CREDENTIALS_KEY and (blank := _blank(child, hidden)) is not child:
                node[name] = blank
    elif isinstance(node, list):
        node[:] = [_blank(child, hidden) for child in node]
    elif type(node) is tuple:
        blanked = tuple(_blank(child, hidden) for child in node)
        return node if all(new is old for new, old in zip(blanked, node, strict=True)) else blanked
    return node
