"""Credentials of images behind links: a dataset says their name only, and whoever reads it gives them.

A name is looked up in ``deeplake_credentials=dict(links=dict(NAME=dict(…)))``, then in an environment variable.
Without a name links are read with the credentials of the dataset itself, if these are of the same kind of storage.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass, field

from deeplake_mmdet.config.credentials import Credentials, read_creds
from deeplake_mmdet.errors import ConfigError

# Metadata of an image column: the name of the credentials that its links need.
LINK_CREDS = 'link_creds'
# Schemes of object stores, and the kind of storage that they are of.
STORES = {'s3': 's3', 'gs': 'gcs', 'gcs': 'gcs', 'gcp': 'gcs', 'azure': 'azure', 'az': 'azure'}
_VARIABLE = 'DEEPLAKE_LINK_CREDS_'


@dataclass(frozen=True)
class LinkCredentials:
    """What links are read with.

    Attributes:
        given: The storage credentials; none where the environment provides them.
        store: The only kind of storage that they are for; None for any.
    """

    given: Credentials = field(default_factory=Credentials)
    store: str | None = None

    @classmethod
    def resolve(cls, name: str | None, own: Credentials, uri: str) -> LinkCredentials:
        """The credentials for the links of a dataset.

        Args:
            name: What the dataset calls them; None if it does not.
            own: What the config gives.
            uri: Where the dataset is.

        Raises:
            ConfigError: Nobody gives credentials of this name.
        """
        if name is not None:
            return cls(Credentials(creds=_named(name, own)))
        scheme, separator, _ = uri.partition('://')
        # A dataset in a folder, or in memory, needs no credentials: what is given can only be for its links.
        if not separator or scheme == 'mem':
            return cls(Credentials(own.token, own.creds))
        return cls(Credentials(own.token, own.creds), STORES[scheme]) if scheme in STORES else cls()

    def of(self, store: str) -> Credentials:
        """The credentials for one kind of storage, a value of `STORES`."""
        return self.given if self.store in (None, store) else Credentials()


def link_creds_variable(name: str) -> str:
    """The environment variable that is looked for: the name in capitals, ``_`` for what no variable may have."""
    return _VARIABLE + re.sub(r'\W', '_', name.upper(), flags=re.ASCII)


def _named(name: str, own: Credentials) -> dict[str, str]:
    if name in own.links:
        return dict(own.links[name])
    variable = link_creds_variable(name)
    content = os.environ.get(variable)
    if content is None:
        close = difflib.get_close_matches(name, own.links, n=1)
        raise ConfigError(
            f'The links of this dataset need credentials that it calls {name!r}, but there are none of this name. '
            f'Give deeplake_credentials=dict(links=dict({name}=dict(…))), or the environment variable {variable} with '
            f'a JSON object such as {{"aws_access_key_id": "…"}}.{f" Did you mean {close[0]!r}?" if close else ""}'
        )
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):  # it is not shown, being a secret
        raise ConfigError(f'environment({variable}=) expected a JSON object, but got something else.')
    return read_creds(value, f'environment({variable}')
