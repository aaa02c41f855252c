"""How an import deals with what it meets; the same words for every format, in Python and on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from deeplake_mmdet.errors import ConversionError

_CHOICES = {'on_error': ('raise', 'skip'), 'zero_area': ('keep', 'drop'), 'sizes': ('annotated', 'measured')}


@dataclass(frozen=True)
class ImportOptions:
    """The options of an import.

    Attributes:
        overwrite: Replace a local Deep Lake dataset at the destination.
        append: Add rows and views to the finished dataset at the destination.
        restart: Give up an unfinished import that is at the destination instead of going on with it.
        link: Store where the images are instead of their bytes.
        link_creds: A name for the credentials by which the links are read, kept in the metadata of the column; never
            the credentials themselves.
        strict: Turn every oddity into an error.
        on_error: 'raise' for an image that is missing, unreadable, or of another size than annotated; 'skip' to leave
            it out and name it in the report.
        zero_area: 'keep' or 'drop' boxes without area; they are named in the report either way.
        sizes: 'annotated', which an image must have; or 'measured', to take the image's own.
        workers: Threads that read images; by default chosen by the number of cores.
        credentials: What `deeplake_credentials` holds in a config, for the destination and for images behind URLs.
        checkpoint_s: Seconds between two points from which a killed import can go on.
    """

    overwrite: bool = False
    append: bool = False
    restart: bool = False
    link: bool = False
    link_creds: str | None = None
    strict: bool = False
    on_error: str = 'raise'
    zero_area: str = 'keep'
    sizes: str = 'annotated'
    workers: int | None = None
    credentials: Any = None
    checkpoint_s: float = 30.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ImportOptions:
        """Options from keyword arguments.

        Raises:
            ConversionError: One is unknown, has no such choice, or contradicts another.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f'Did you mean {close[0]!r}?' if close else f'Choose from {known}.'
                raise ConversionError(f'convert({name}=) is no option of an import. {hint}')
        return cls(**options)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConversionError(
                    f'convert({name}=) expected {" or ".join(map(repr, choices))}, but got {getattr(self, name)!r}. '
                    'Choose one of them.'
                )
        if self.overwrite and self.append:
            raise ConversionError(
                'convert(overwrite=, append=) expected one of them, but got both. Append to the dataset, or replace it.'
            )
        if self.workers is not None and (type(self.workers) is not int or self.workers < 1):
            raise ConversionError(
                f'convert(workers=) expected a positive int, but got {self.workers!r}. Leave it out to have it chosen.'
            )
        if self.link_creds is not None and not self.link:
            raise ConversionError(
                'convert(link_creds=) expected link=True with it. Leave it out where bytes are copied.'
            )
