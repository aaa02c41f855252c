"""The engines that accumulate COCO's precision and recall: one interface, the same bits.

`pycocotools` is the reference. The others are optional and many times faster; ``backend='auto'`` takes one only after
it has given the reference's numbers on a part of the run's own data.
"""

from deeplake_mmdet.metrics.backends.backend import Backend, BackendError, Settings
from deeplake_mmdet.metrics.backends.choice import check_backend, choose_backend

__all__ = ['Backend', 'BackendError', 'Settings', 'check_backend', 'choose_backend']
