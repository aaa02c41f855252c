"""MMEngine's view of Deep Lake: a storage backend for ``deeplake://`` paths.

Through it every part of MMDetection that reads an image by path works unmodified: `LoadImageFromFile`,
`DetVisualizationHook`, the analysis tools, ``mmcv.imread``.
"""

from __future__ import annotations

from mmengine.fileio.backends import BaseStorageBackend

from deeplake_mmdet.datasets import image_uri


class DeepLakeBackend(BaseStorageBackend):
    """Reads encoded images of datasets that are open in this process."""

    def get(self, filepath: str) -> bytes:
        """Encoded bytes of one image.

        Args:
            filepath: ``deeplake://<source>/<column>/<row>.<extension>``.

        Raises:
            SourceNotFoundError: The dataset is not open in this process.
            ImageReadError: The image is missing or damaged.
        """
        return image_uri.find(str(filepath)).get(image_uri.parse_uri(str(filepath))[2])

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        raise TypeError(f'{filepath} is an image, not a text.')

    def exists(self, filepath: str) -> bool:
        """Whether the path leads to a row of an open dataset."""
        try:
            store = image_uri.find(str(filepath))
        except (ValueError, OSError, RuntimeError):
            return False
        return image_uri.parse_uri(str(filepath))[2] < store.reader.handle.base_rows

    isfile = exists
