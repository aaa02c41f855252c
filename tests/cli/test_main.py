"""What the command prints when something is wrong."""

from __future__ import annotations

import pytest
from torch.utils.data import DataLoader

from deeplake_mmdet.cli.main import message_of
from deeplake_mmdet.errors import AnnotationError


class Broken:
    """A dataset whose samples are unusable."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, place: int) -> None:
        raise AnnotationError(f"Column 'masks', row {place}: expected: masks.")


@pytest.mark.parametrize('num_workers', [0, 1])
def test_an_error_in_a_worker_process_is_printed_as_one_message(num_workers):
    with pytest.raises(AnnotationError) as raised:
        next(iter(DataLoader(Broken(), num_workers=num_workers)))
    assert message_of(raised.value) == "Column 'masks', row 0: expected: masks."
