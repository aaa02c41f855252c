"""The exceptions a user can meet.

Each is also the built-in exception that its meaning suggests, so that code which knows nothing of this package can
catch it. Every message names what was wrong (key, column, row or path), what was expected, and what to do.
"""


class DeepLakeMMDetError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(DeepLakeMMDetError, ValueError):
    """A config key is unknown, has a wrong value, or contradicts another one."""


class SourceError(DeepLakeMMDetError, RuntimeError):
    """A dataset cannot be opened or read: the storage, the credentials or the dataset itself is at fault."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """There is no dataset at the given path."""


class RevisionNotFoundError(SourceError, LookupError):
    """The dataset exists; the branch, commit or view that was asked for does not."""


class RevisionChangedError(SourceError):
    """A dataset that was reopened is not the one that was resolved before."""


class QueryError(SourceError, ValueError):
    """A TQL query is malformed, selects no row, or drops a column that is needed."""


class ColumnError(DeepLakeMMDetError, ValueError):
    """A column is missing, ambiguous, or of a type that cannot play its role."""


class AnnotationError(DeepLakeMMDetError, ValueError):
    """The annotations contradict themselves, their image or the class names."""


class EmptyDatasetError(DeepLakeMMDetError, ValueError):
    """No sample is left to train or evaluate on."""


class ImageReadError(DeepLakeMMDetError, OSError):
    """The stored bytes of one image are missing, damaged, or no image."""


class OutOfMemoryError(DeepLakeMMDetError, MemoryError):
    """There is not enough memory for one sample."""


class WorkerError(DeepLakeMMDetError, RuntimeError):
    """A worker process of a dataloader was killed, crashed, or gave nothing in time."""


class ConversionError(DeepLakeMMDetError, ValueError):
    """A file that is being converted is malformed, or its destination cannot be written."""


class CheckpointError(DeepLakeMMDetError, ValueError):
    """A checkpoint is damaged, or holds what could run code when it is read."""


class LineageError(DeepLakeMMDetError, ValueError):
    """A file holds no record of a run, or one that this version does not understand."""


class TrackerError(DeepLakeMMDetError, RuntimeError):
    """An experiment tracker could not record something, and the run asked for this to be an error."""
