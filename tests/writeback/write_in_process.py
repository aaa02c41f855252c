"""Writes the results of a dataset in a process of its own, slowly, to be killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from deeplake_mmdet.scoring.values import Part
from deeplake_mmdet.writeback.target import Target
from tests.writeback.scored import CLASSES, COLUMNS, opened, parts_of


def main(path: str, salt: str, pause_s: float) -> None:
    """Say when the writing begins; then write a row at a time."""
    source = opened(path)
    target = Target.of(source, None, branch='scores')

    def slowly() -> Iterator[Part]:
        for part in parts_of(source, size=1, salt=salt):
            time.sleep(pause_s)
            yield part

    print('ready', flush=True)
    target.write(slowly(), classes=CLASSES, columns=COLUMNS, message=salt, facts={})
    print('done', flush=True)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
