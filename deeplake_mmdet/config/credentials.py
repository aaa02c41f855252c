"""Credentials: read from the config, kept out of every text, pickle and config dump.

A recipe that is pickled or printed holds only a reference (``vault:…``). The secret itself stays in this process and,
for the workers that it starts, in an environment variable of that name, which children inherit whatever their start
method. Nothing is written to disk.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

from deeplake_mmdet.errors import ConfigError, SourceError

_OWNER = 'DeepLakeDataset(deeplake_credentials'
PREFIX = 'vault:'
_USER = re.compile(r'//([^/@]+)@')  # user:password in front of a host
VARIABLE = 'DEEPLAKE_MMDET_VAULT_'
SHORT = 8  # characters; a secret with fewer is a word that may stand in others
_PUBLIC_KEYS = ('endpoint_url', 'aws_region', 'region', 'profile_name')
_CREDS_KEYS = ('aws_access_key_id', 'aws_secret_access_key', 'aws_session_token', 'creds_key', *_PUBLIC_KEYS)
# Secrets of files as they were: a message may still tell those that have been replaced since.
_read_before: set[str] = set()
_SECRET_VARIABLES = (
    *('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'ACTIVELOOP_TOKEN'),
    *('AZURE_CLIENT_SECRET', 'AZURE_STORAGE_KEY', 'AZURE_STORAGE_SAS_TOKEN', 'AZURE_STORAGE_CONNECTION_STRING'),
    *('WANDB_API_KEY', 'MLFLOW_TRACKING_PASSWORD', 'MLFLOW_TRACKING_TOKEN'),
)


@dataclass(frozen=True)
class Credentials:
    """A Deep Lake token and the storage's own credentials.

    Attributes:
        token: Token of Deep Lake's cloud, or None.
        creds: Storage credentials as ``deeplake.open(creds=)`` takes them; empty where the environment provides them.
        links: Further ones of that form for images behind links, by the name that a dataset calls them by; see
            `deeplake_mmdet.config.link_credentials`.
        file: The JSON file that they were read from, and are read from again whenever a dataset is opened anew.
    """

    token: str | None = field(default=None, repr=False)
    creds: Mapping[str, str] = field(default_factory=dict, repr=False)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    file: str | None = None

    @classmethod
    def from_config(cls, value: Any) -> Credentials:
        """Read ``deeplake_credentials``: a dict of ``token``, ``creds`` and ``links``, or of the ``file`` that holds
        such a dict as JSON; or a reference made by `stash`.

        Raises:
            ConfigError: Unknown keys; ``username``/``password``, which Deep Lake no longer accepts; an
                ``endpoint_url`` without scheme, which Deep Lake would retry for 45 seconds.
        """
        if isinstance(value, Credentials):
            return value
        if value is None or value == '':
            return cls()
        if isinstance(value, str) and value.startswith(PREFIX):
            return unstash(value)
        if not isinstance(value, Mapping):
            raise ConfigError(
                'DeepLakeDataset(deeplake_credentials=) expected dict(token=…, creds=dict(…)), '
                f'but got a {type(value).__name__}.'
            )
        given = _given(value)
        if {'username', 'password'} & set(given):
            raise ConfigError(
                'DeepLakeDataset(deeplake_credentials=) expected a token, but got username/password: Deep Lake no '
                'longer signs in by password. Use dict(token=…) or the environment variable ACTIVELOOP_TOKEN.'
            )
        if 'file' in given:
            return cls._from_file(given)
        unknown = sorted(set(given) - {'token', 'creds', 'links'})
        if unknown:
            raise ConfigError(
                "DeepLakeDataset(deeplake_credentials=) expected the keys 'token', 'creds', 'links' or 'file', but got "
                f"{unknown}. Storage keys such as aws_access_key_id belong into 'creds'."
            )
        token = given.get('token')
        if token is not None and not isinstance(token, str):
            raise ConfigError(
                f'DeepLakeDataset(deeplake_credentials.token=) expected a string, but got a {type(token).__name__}.'
            )
        creds = read_creds(given.get('creds') or {}, f'{_OWNER}.creds')
        return cls(token, creds, _read_links(given.get('links') or {}))

    @classmethod
    def _from_file(cls, given: Mapping[str, Any]) -> Credentials:
        if len(given) > 1:
            raise ConfigError(
                f'{_OWNER}.file=) expected no other key beside it, but got {sorted(set(given) - {"file"})}. Write them '
                'into the file.'
            )
        content = read_file(given['file'], f'{_OWNER}.file=)')
        if 'file' in content:
            raise ConfigError(f'{_OWNER}.file=) expected credentials in {given["file"]!r}, but got another file.')
        read = replace(cls.from_config(content), file=os.path.abspath(given['file']))
        _read_before.update(read.secrets())
        return read

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies hold the reference only."""
        return unstash, (stash(self),)

    def __bool__(self) -> bool:
        return bool(self.token or self.creds or self.links)

    def open_arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``deeplake.open_read_only`` and its like."""
        arguments: dict[str, Any] = {}
        if self.creds:
            arguments['creds'] = dict(self.creds)
        if self.token:
            arguments['token'] = self.token
        return arguments

    def scrub(self, text: str) -> str:
        """``text`` with every secret replaced by ``***``, those of the environment too; short ones as whole words."""
        around = {os.environ.get(name, '') for name in _SECRET_VARIABLES}
        for secret in sorted(self.secrets() | around | _read_before, key=len, reverse=True):
            if len(secret) >= SHORT:
                for form in _forms(secret):
                    text = text.replace(form, '***')
            elif len(secret) > 3 and secret in text:  # 'test', say, of a server for trials
                text = re.sub(rf'(?<!\w){re.escape(secret)}(?!\w)', '***', text)
        return text

    def secrets(self) -> set[str]:
        """All values that nobody may read: the token, and of the storage credentials all but endpoint and region."""
        creds = (self.creds, *self.links.values())
        given = {value for some in creds for key, value in some.items() if key not in _PUBLIC_KEYS}
        given |= {user for some in creds for user in _USER.findall(some.get('endpoint_url', ''))}
        return given | ({self.token} if self.token else set())


@cache
def _forms(secret: str) -> tuple[str, ...]:
    """A secret as messages write it: in a URL, as a literal of Python or JSON, as bytes, in base64; longest first."""
    data = secret.encode(errors='surrogatepass')
    in_urls = {quote(data, safe=''), quote(data), quote_plus(data)}
    literals = {repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1], repr(data)[2:-1]}
    forms = {secret, *in_urls, *literals, base64.b64encode(data).decode().rstrip('=')}
    return tuple(sorted(forms, key=len, reverse=True))


def read_file(path: Any, owner: str) -> dict[str, Any]:
    """The JSON object in a file of credentials.

    Args:
        path: The file.
        owner: How messages name it.

    Raises:
        ConfigError: It cannot be read, or is no JSON object. What it holds is not shown.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (OSError, TypeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'no JSON'
        raise ConfigError(f'{owner} expected a readable JSON file, but got {path!r}: {reason}.') from None
    if not isinstance(content, dict):
        raise ConfigError(f'{owner} expected a JSON object in {path!r}, but got another value.')
    return content


def read_creds(value: Any, owner: str) -> dict[str, str]:
    """Storage credentials, checked.

    Args:
        value: A dict of texts; keys without a value are left out.
        owner: How messages name it.

    Raises:
        ConfigError: It is none, a key of Deep Lake is misspelt, or ``endpoint_url`` has no scheme.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f'{owner}=) expected a dict, but got a {type(value).__name__}.')
    creds = _given(value)
    for key, item in creds.items():
        where = f'{owner}.{key}=)'
        if not isinstance(item, str):
            raise ConfigError(f'{where} expected a string, but got a {type(item).__name__}.')
        close = difflib.get_close_matches(key, _CREDS_KEYS, n=1, cutoff=0.8)
        if close and key not in _CREDS_KEYS:  # Deep Lake ignores what it does not know
            raise ConfigError(f'{where} is no key of Deep Lake. Did you mean {close[0]!r}?')
    endpoint = creds.get('endpoint_url')
    if endpoint is not None and not str(endpoint).startswith(('http://', 'https://')):
        raise ConfigError(f'{owner}.endpoint_url=) expected http://… or https://…, but got {endpoint!r}.')
    return creds


def _read_links(value: Any) -> dict[str, dict[str, str]]:
    if not isinstance(value, Mapping):
        raise ConfigError(
            f'{_OWNER}.links=) expected a dict of name to storage credentials, but got a {type(value).__name__}.'
        )
    return {str(name): read_creds(creds, f'{_OWNER}.links.{name}') for name, creds in value.items()}


def _given(value: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that have a value; an empty string is none, as from ``os.environ.get('TOKEN', '')``."""
    return {key: item for key, item in value.items() if item is not None and item != ''}


def stash(credentials: Credentials) -> str | None:
    """Put credentials into this process's vault; returns the reference that may be written anywhere."""
    if not credentials:
        return None
    parts = {'token': credentials.token, 'creds': credentials.creds, 'links': credentials.links}
    content = json.dumps({'file': credentials.file} if credentials.file else parts, sort_keys=True, default=dict)
    name = hashlib.blake2b(content.encode(), key=_process_salt(), digest_size=8).hexdigest()
    os.environ[VARIABLE + name] = content
    return PREFIX + name


def unstash(reference: str | None) -> Credentials:
    """The credentials behind a reference.

    Raises:
        SourceError: The reference was made by a process that is no ancestor of this one; or the file of credentials
            can no longer be read.
    """
    if reference is None:
        return Credentials()
    content = os.environ.get(VARIABLE + reference[len(PREFIX) :])
    if content is None:
        raise SourceError(
            f'The credentials {reference!r} are not known to this process: they live only in the process that read '
            'the config, and in its children. Give deeplake_credentials again; or remove the key, if the environment '
            'provides them or none are needed.'
        )
    data = json.loads(content)
    if 'file' not in data:
        return Credentials(**data)
    try:
        return Credentials.from_config(data)
    except ConfigError as error:
        raise SourceError(f'The credentials were there when the run began: {error}') from None


def _process_salt() -> bytes:
    """Key of the reference's hash, shared with children, so that a reference says nothing about the secret."""
    return bytes.fromhex(os.environ.setdefault(VARIABLE + 'SALT', os.urandom(16).hex()))
