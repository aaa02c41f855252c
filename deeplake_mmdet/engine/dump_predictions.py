"""Writing predictions so that they can be evaluated later: a label means nothing without the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.evaluation import DumpDetResults

CLASSES_KEY = 'classes'


class DumpPredictions(DumpDetResults):
    """`DumpDetResults` that adds to every image the class names that its labels are positions in."""

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the predictions of a batch; see `DumpDetResults.process`."""
        before = len(self.results)
        super().process(data_batch, data_samples)
        classes = self.dataset_meta.get('classes') if isinstance(self.dataset_meta, dict) else None
        if classes:
            for result in self.results[before:]:
                result[CLASSES_KEY] = list(classes)
