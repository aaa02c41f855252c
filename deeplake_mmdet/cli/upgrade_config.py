"""``deeplake-mmdet upgrade-config OLD NEW``: a config of MMDetection 2 as a file of its own for MMDetection 3.

NEW has no bases and loads with MMEngine alone. It is read back and compared before it gets its name. Secrets are not
written: they become references to the environment variables from which Deep Lake and S3 clients read them anyway.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from deeplake_mmdet.config.credentials import Credentials
from deeplake_mmdet.config.link_credentials import link_creds_variable
from deeplake_mmdet.config.upgrade.bases import read_config
from deeplake_mmdet.config.upgrade.notes import Notes
from deeplake_mmdet.errors import ConfigError

_VARIABLES = {
    'token': 'ACTIVELOOP_TOKEN',
    'aws_access_key_id': 'AWS_ACCESS_KEY_ID',
    'aws_secret_access_key': 'AWS_SECRET_ACCESS_KEY',
    'aws_session_token': 'AWS_SESSION_TOKEN',
}


# MMEngine 0.10 takes a file with the statement `import os` for one that inherits by imports.
_OS = "os = __import__('os')\n\n"
_LOST = (
    'upgrade-config(OLD) expected dicts, lists, strings and numbers, but this would not read back as it is: {what}. '
    'Replace objects by the dicts that build them.'
)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='deeplake-mmdet upgrade-config', description='Write a config of MMDetection 2 as one of MMDetection 3.'
    )
    parser.add_argument('old', metavar='OLD', help='the config to translate; its bases may have their old names')
    parser.add_argument('new', metavar='NEW', help='the file to write, in Python')
    parser.add_argument('--force', action='store_true', help='replace NEW if it exists')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Translate, write, and print each translation once.

    Raises:
        ConfigError: OLD cannot be read or translated, or NEW cannot be written; NEW is then left as it was.
    """
    args = parse(argv)
    _check_paths(args.old, args.new, args.force)
    from deeplake_mmdet.config.upgrade.upgrade import upgrade

    notes = Notes()
    config = read_config(args.old, notes)
    lines = [*notes.lines, *upgrade(config, args.old)]
    variables = write(config, args.old, args.new)
    for line in lines or [f'{args.old} has nothing of MMDetection 2']:
        print(line)
    if variables:
        print(f'credentials are not written: NEW reads {", ".join(variables)} from the environment')
    print(f'{args.new}: written')
    return 0


def _check_paths(old: str, new: str, force: bool) -> None:
    """Refuse before the work what would fail after it."""
    if not os.path.isfile(old):
        raise ConfigError(f'The config file {old!r} does not exist.')
    if not new.endswith('.py'):
        raise ConfigError(
            f'upgrade-config(NEW) expected the name of a Python file, but got {new!r}. Let it end in .py.'
        )
    folder = os.path.dirname(new) or '.'
    if not os.path.isdir(folder):
        raise ConfigError(
            f'upgrade-config(NEW) expected a file in an existing folder, but {folder!r} is none. Make it.'
        )
    if os.path.exists(new) and (not force or os.path.samefile(old, new)):
        raise ConfigError(
            f'upgrade-config(NEW) expected a new file, but {new!r} exists. Give another name, or --force to replace it '
            '(OLD itself is never replaced).'
        )


def write(config: Any, old: str, new: str) -> list[str]:
    """Write a config as one file that holds no secret, having read it back.

    Args:
        config: An ``mmengine.Config``.
        old: The file that it comes from, named in the first line.
        new: The file to write.

    Returns:
        The environment variables that stand for credentials.

    Raises:
        ConfigError: A secret or a value that cannot be written.
    """
    from mmengine.config import Config

    secrets = _secrets(config)
    expected = config.to_dict()
    marked = Config(_replaced(expected, {secret: f'<{name}>' for secret, name in secrets.items()}))
    header = f'# Made of {os.path.basename(old)} by `deeplake-mmdet upgrade-config`; it has no bases.\n'
    try:
        text = header + (_OS if secrets else '') + marked.pretty_text
    except SyntaxError as error:
        raise ConfigError(_LOST.format(what=str(error).splitlines()[-1])) from None
    for name in secrets.values():
        text = text.replace(f"'<{name}>'", f"os.environ.get('{name}')")
    if any(secret in text for secret in secrets) or any(f'<{name}>' in text for name in secrets.values()):
        raise ConfigError(
            'upgrade-config(OLD) expected credentials as values of their own, but found one inside of another string. '
            'Take it out.'
        )
    with tempfile.TemporaryDirectory(dir=os.path.dirname(new) or '.') as folder:
        draft = os.path.join(folder, 'draft.py')
        with open(draft, 'w', encoding='utf-8') as file:
            file.write(text)
        _read_back(draft, _replaced(expected, {secret: os.environ.get(name) for secret, name in secrets.items()}))
        os.replace(draft, new)
    return sorted(set(secrets.values()))


def _read_back(draft: str, expected: Mapping[str, Any]) -> None:
    """What Python's own notation cannot hold (objects, functions) would be lost without a word."""
    from mmengine.config import Config

    try:
        back = Config.fromfile(draft, import_custom_modules=False).to_dict()
    except NameError as error:
        raise ConfigError(_LOST.format(what=error)) from None
    lost = [key for key in {**expected, **back} if key not in back or key not in expected or back[key] != expected[key]]
    if lost:
        raise ConfigError(_LOST.format(what=', '.join(lost)))


def _secrets(config: Any) -> dict[str, str]:
    """Secret to the environment variable that stands for it.

    Raises:
        ConfigError: Two secrets for one variable, or credentials of a wrong form.
    """
    found: dict[str, str] = {}
    for node in _mappings(config):
        credentials = Credentials.from_config(node['deeplake_credentials'])
        given = [(key, _VARIABLES.get(key, key.upper()), value) for key, value in credentials.creds.items()]
        given += [('token', _VARIABLES['token'], credentials.token or '')]
        for links, creds in credentials.links.items():
            given += [(key, f'{link_creds_variable(links)}_{key.upper()}', value) for key, value in creds.items()]
        for key, name, secret in given:
            if secret not in credentials.secrets():
                continue
            if name in found.values() and found.get(secret) != name:
                raise ConfigError(
                    f'upgrade-config(OLD) expected one {key} for all datasets, but got several, and one environment '
                    f'variable, {name}, cannot stand for them. Write references to variables of your own into OLD.'
                )
            found[secret] = name
    return found


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping that holds credentials."""
    if hasattr(node, 'items'):
        if node.get('deeplake_credentials') is not None:
            yield node
        for child in node.values():
            yield from _mappings(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from _mappings(child)


def _replaced(node: Any, values: Mapping[str, Any]) -> Any:
    """A copy with other strings in the place of those that are keys of ``values``."""
    if isinstance(node, Mapping):
        return {key: _replaced(child, values) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_replaced(child, values) for child in node)
    return values.get(node, node) if isinstance(node, str) else node
