"""Fixtures that write annotation files, and a reader that knows Deep Lake only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deeplake
import numpy as np
import pytest

from tests.convert.convert_files import VOC_SIZE, coco_document, voc_object, write_image


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., tuple[Path, Path, dict[str, Any]]]:
    """Writes ``coco_document``, changed by a function, and its images; gives the file, the folder and the document."""

    def write(change: Callable[[dict[str, Any]], object] = lambda document: None) -> tuple[Path, Path, dict[str, Any]]:
        document, folder, path = coco_document(), tmp_path / 'images', tmp_path / 'instances_train.json'
        for image in document['images']:
            write_image(folder / image['file_name'], image.get('height', 40), image.get('width', 50))
        change(document)
        path.write_text(json.dumps(document))
        return path, folder, document

    return write


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A VOC tree of five images with overlapping splits, one without a size, one without objects."""
    root = tmp_path / 'VOC'
    both = '<truncated>1</truncated><difficult>1</difficult>'
    objects = {
        'a': [voc_object('dog', 1, 1, 30, 20, flags=both), voc_object('cat', 48.5, 8.25, 60.0, 40)],
        'b': [],
        'c': [voc_object('dog', 5, 6, 5, 6)],
        'd': [voc_object('ant', 2, 3, 4, 5)],
        'e': [voc_object('cat', 10, 10, 20, 20)],
    }
    for number, (name, items) in enumerate(objects.items()):
        size = '' if name == 'c' else VOC_SIZE.format(40 + number, 60)
        write_image(root / 'JPEGImages' / f'{name}.jpg', 40 + number, 60)
        (root / 'Annotations').mkdir(exist_ok=True)
        (root / f'Annotations/{name}.xml').write_text(f'<annotation>{size}{"".join(items)}</annotation>')
    lists = {'train': 'd\na\n', 'val': 'c\n', 'test': 'e\nb', 'trainval': 'a\nc\n\nd\n', 'dog_train': 'a  1\nd -1\n'}
    (root / 'ImageSets/Main').mkdir(parents=True)
    for split, text in lists.items():
        (root / f'ImageSets/Main/{split}.txt').write_text(text)
    return root


@pytest.fixture
def rows() -> Callable[..., list[dict[str, Any]]]:
    """Reads every row of a dataset, or of a saved view, with Deep Lake alone."""

    def own(value: Any) -> Any:
        return value.copy() if isinstance(value, np.ndarray) else value  # its memory is the open dataset's

    def read(path: Path, view: str | None = None) -> list[dict[str, Any]]:
        dataset = deeplake.open_read_only(str(path))
        names = [column.name for column in dataset.schema.columns]
        container = dataset if view is None else dataset.tags[view].open()
        cells = [name for name in names if name != 'images']
        return [
            {name: own(container[name][i]) for name in cells} | {'images': container['images'].get_bytes(i)}
            for i in range(len(container))
        ]

    return read
