"""No secret in what a run says: its log, and the traceback of an error that nobody expected."""

from __future__ import annotations

import logging
import re
import traceback

from deeplake_mmdet.config.redaction import scrub

# MMEngine tells what it put into a config for {{$NAME:}}, which is how secrets are kept out of config files.
_SUBSTITUTED = re.compile(r'(?<=^Using env variable )(`\w+`) with value of .* (?=to replace)', re.DOTALL)


class _Scrub(logging.Filter):
    """Scrubs the text of every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        clean = _SUBSTITUTED.sub(r'\1 ', scrub(text))
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text, record.exc_info = scrubbed_traceback(record.exc_info[1]).rstrip(), None
        return True


def scrub_log(logger: logging.Logger) -> None:
    """Let a logger show no secret; harmless when called again."""
    if not any(isinstance(known, _Scrub) for known in logger.filters):
        logger.addFilter(_Scrub())


def scrubbed_traceback(error: BaseException) -> str:
    """What Python prints of an error, without secrets.

    Args:
        error: Any error, with its causes.
    """
    return scrub(''.join(traceback.format_exception(type(error), error, error.__traceback__)))
