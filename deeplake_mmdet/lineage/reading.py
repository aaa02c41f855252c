"""Finding the record of a run in a checkpoint, a work dir, or a ``lineage.json``; nothing that they hold is run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeplake_mmdet.errors import LineageError
from deeplake_mmdet.lineage.record import CONFIG, FILE, KEY, SCHEMA, VERSION

# What the verbs read; anything else of a record may be missing.
_PARTS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    'run': (dict, ('id', 'started', 'command', 'seed', 'world_size', 'work_dir', 'continues')),
    'data': (dict, ('train', 'val', 'test')),
    'config': (dict, ('file', 'digest')),
    'code': (dict, ('version', 'commit', 'dirty')),
    'libraries': (dict, ()),
    'metrics': (dict, ()),
    'validations': (list, ()),
    'checkpoints': (list, ()),
}
_ENTRY = (
    *('key', 'uri', 'dataset_id', 'branch', 'commit_id', 'view_id', 'query', 'rows', 'digest', 'columns', 'classes'),
    *('bbox_format', 'samples'),
)


@dataclass(frozen=True)
class Run:
    """A run, as its files tell it.

    Attributes:
        path: Where it was found.
        record: Its record; see `deeplake_mmdet.lineage.record`.
        config_text: Its resolved config as Python text, or None where the file does not hold it.
    """

    path: str
    record: dict[str, Any]
    config_text: str | None = None

    @property
    def name(self) -> str:
        """The work dir's name, or that of the file and its folder."""
        path = Path(self.path).resolve()
        return (
            path.name if path.is_dir() else path.parent.name if path.name == FILE else f'{path.parent.name}/{path.name}'
        )


def read_run(path: str) -> Run:
    """The run that a path tells of.

    Args:
        path: A checkpoint, a work dir, or a ``lineage.json``.

    Raises:
        LineageError: There is no such file, it holds no record, or one of a newer version.
        CheckpointError: The checkpoint is damaged, or holds what could run code.
    """
    file = Path(path)
    if file.is_dir():
        file = file / FILE
        if not file.is_file():
            raise LineageError(
                f'{path!r} expected a work dir with {FILE}, but got none in it. Name the work dir of a run that this '
                'package made, or one of its checkpoints.'
            )
    if not file.is_file():
        raise LineageError(f'{path!r} expected a checkpoint, a work dir or a {FILE}, but there is no such file.')
    if file.suffix == '.json':
        content = _parsed(path, file.read_text(encoding='utf-8', errors='replace'))
        text = content.pop(CONFIG, None) if isinstance(content, dict) else None
        return Run(path, checked(path, content), text if isinstance(text, str) else None)
    return _of_checkpoint(str(file))


def checked(path: str, content: Any) -> dict[str, Any]:
    """A record, if it is one that this version understands.

    Raises:
        LineageError: It is not.
    """
    if not isinstance(content, dict) or content.get('schema') != SCHEMA:
        raise LineageError(f'{path!r} expected a record of the schema {SCHEMA!r}, but got another content.')
    version = content.get('version')
    if not isinstance(version, int) or version > VERSION:
        raise LineageError(
            f'{path!r} expected a record of version {VERSION} or older, but got {version!r}. Update deeplake_mmdet.'
        )
    missing = list(_missing(content))
    if missing:
        raise LineageError(f'{path!r} expected a record with {", ".join(missing)}, but it lacks them.')
    return content


def _missing(record: Mapping[str, Any]) -> Iterator[str]:
    """What a record lacks, or has in another form."""
    for part, (kind, names) in _PARTS.items():
        if isinstance(record.get(part), kind):
            yield from (f'{part}.{name}' for name in names if name not in record[part])
        else:
            yield part
    for split, entries in record['data'].items() if isinstance(record.get('data'), dict) else ():
        for i, entry in enumerate(entries if isinstance(entries, list) else [None]):
            found = entry if isinstance(entry, dict) else {}
            yield from (f'data.{split}.{i}.{name}' for name in _ENTRY if name not in found)


def _parsed(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise LineageError(f'{path!r} expected JSON, but got: {error}.') from None


def _of_checkpoint(path: str) -> Run:
    from deeplake_mmdet.checkpoints.loading import load_from_local

    loaded = load_from_local(path, map_location='cpu')
    meta = (loaded.get('meta') if isinstance(loaded, Mapping) else None) or {}
    text = meta.get(KEY)
    if isinstance(text, str):
        config_text = meta.get('cfg')
        return Run(path, checked(path, _parsed(path, text)), config_text if isinstance(config_text, str) else None)
    raise LineageError(f'{path!r} holds no record of this package. {_what_it_has(meta)}')


def _what_it_has(meta: Mapping[str, Any]) -> str:
    """What a checkpoint without a record tells all the same."""
    named = (meta.get('dataset_meta') or {}).get('deeplake')
    parts = [f'{name} {meta[name]}' for name in ('epoch', 'iter', 'mmengine_version', 'time') if name in meta]
    if isinstance(named, Mapping):
        parts.append(f'data {named.get("uri")} @ {named.get("branch")}:{named.get("commit_id")}')
    found = ', '.join(parts) or 'no metadata at all, as weights without their training'
    return f'It has: {found}. Only runs of this package that train on Deep Lake data write a record.'
