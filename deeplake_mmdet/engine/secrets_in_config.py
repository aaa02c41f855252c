"""No credential stays in a config: MMEngine copies it into the work dir, the log, every checkpoint and the tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from deeplake_mmdet.config.credentials import Credentials, stash
from deeplake_mmdet.config.redaction import scrub
from deeplake_mmdet.errors import ConfigError

CREDENTIALS_KEY = 'deeplake_credentials'
_LITERAL = (
    '{file}, or a base of it, holds a secret as it is, for everybody who gets the file. Leave deeplake_credentials out '
    'and set ACTIVELOOP_TOKEN, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), in the environment; or '
    "write the name of a variable: deeplake_credentials=dict(token='{{{{$MY_TOKEN:}}}}')."
)


def hide_credentials(config: Any) -> list[str]:
    """Replace all credentials by references into the vault, wherever in the config they stand.

    Configs often build a dataset from variables (``train_dataset = dict(…)``, ``creds = dict(…)``), which stay in the
    config as keys of their own. So every ``deeplake_credentials`` is replaced, and every string that is one of their
    secrets.

    Args:
        config: An MMEngine config; changed in place.

    Returns:
        A warning where a file of the config holds a secret as it is, and how to move it.

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
    if not hidden:
        return []
    _replace(config, lambda text: '***' if text in hidden else text)
    return _forget_texts(config, hidden)


def _forget_texts(config: Any, hidden: set[str]) -> list[str]:
    """Blank the secrets in the files' text and in the environment variables that a config keeps beside its values."""
    text, variables = getattr(config, '_text', None) or '', getattr(config, '_env_variables', None) or {}
    literal = any(secret in text for secret in hidden)
    for secret in hidden:
        text = text.replace(secret, '***')
    if literal:  # MMEngine's Config takes what is set for a key of the config
        object.__setattr__(config, '_text', text)
    for name in [name for name, value in variables.items() if value in hidden]:
        variables[name] = '***'
    return [_LITERAL.format(file=config.filename or 'the config')] if literal else []


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


def hide_in_urls(config: Any) -> None:
    """Replace what signs or unlocks a URL, in a config that is only shown and stored from now on.

    Args:
        config: An MMEngine config; changed in place.
    """
    _replace(config, scrub)


def _replace(node: Any, change: Callable[[str], str]) -> Any:
    """`node` with every text changed; mappings and lists are changed in place."""
    if isinstance(node, str):
        new = change(node)
        return node if new == node else new
    if hasattr(node, 'items'):
        for name, child in list(node.items()):
            # Writing back what did not change would turn MMEngine's lazy objects into the classes that they stand for.
            if name != CREDENTIALS_KEY and (changed := _replace(child, change)) is not child:
                node[name] = changed
    elif isinstance(node, list):
        node[:] = [_replace(child, change) for child in node]
    elif type(node) is tuple:
        changed = tuple(_replace(child, change) for child in node)
        return node if all(new is old for new, old in zip(changed, node, strict=True)) else changed
    return node
