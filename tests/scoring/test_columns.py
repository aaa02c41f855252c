"""The table of columns: what the documentation lists, and what a detector names itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeplake_mmdet.scoring.columns import COLUMNS, ERRORS, NUMBER, column
from deeplake_mmdet.scoring.values import Part

DOCS = Path(__file__).parents[2] / 'docs' / 'scoring.md'


@pytest.mark.parametrize('name', [*COLUMNS, *ERRORS])
def test_the_documentation_names_every_column_and_kind_of_error(name):
    assert f'`{name}`' in DOCS.read_text()


def test_loss_terms_are_columns_by_the_detectors_own_names():
    assert column('d0.loss_iou').kind == NUMBER
    assert 'd0.loss_iou' in column('d0.loss_iou').means
    with pytest.raises(KeyError):
        column('acc')


def test_a_term_that_some_images_lack_is_none_for_them():
    part = Part(np.arange(2), {'loss': [1.0, 2.0]}).completed(['loss', 'loss_mask'])
    assert part.values == {'loss': [1.0, 2.0], 'loss_mask': [None, None]}
