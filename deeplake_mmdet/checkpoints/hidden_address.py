"""Addresses of checkpoints that hold a secret, such as signed URLs: shown and stored as a reference.

MMEngine prints the address that it loads from, and keeps it in the config that it stores. So what it gets is a
reference into the vault of credentials, and a loader for it.
"""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.config.credentials import PREFIX, Credentials, stash, unstash
from deeplake_mmdet.config.redaction import scrub


def without_secrets(address: str | None) -> str | None:
    """An address as it is, or if it holds a secret, a reference that MMEngine can load from.

    Args:
        address: Path or URL of a checkpoint, or None.
    """
    return address if address is None or scrub(address) == address else stash(Credentials(token=address))


def register_hidden() -> None:
    """Have MMEngine load what `without_secrets` gives; harmless when called again."""
    from mmengine.runner import CheckpointLoader

    CheckpointLoader.register_scheme(PREFIX, _load, force=True)


def _load(filename: str, map_location: Any = None) -> Any:
    from mmengine.runner import CheckpointLoader

    address = unstash(filename).token or ''
    return CheckpointLoader._get_checkpoint_loader(address)(address, map_location)
