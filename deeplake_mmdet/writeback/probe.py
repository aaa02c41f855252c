"""Whether remote storage lets a dataset be written: tried with a branch that is removed at once.

Deep Lake itself notices when it commits, and then the scoring is lost.
"""

from __future__ import annotations

import uuid

from deeplake_mmdet.versions.opening import Place


def check_writable(place: Place) -> None:
    """Refuses remote storage that may not be written to; local folders are not tried.

    Raises:
        SourceError: It refuses.
    """
    if not place.location.is_remote:
        return
    dataset, name = place.writer(), f'write-probe-{uuid.uuid4().hex[:8]}'
    with place.guarded('A first try to write to the storage'):
        dataset.branch(name)
        dataset.branches[name].delete()
