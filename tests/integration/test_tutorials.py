"""The tutorials work as they are written: their commands, configs and scripts are run, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import deeplake
import pytest
import torch

from tests.support.wandb_file import runs_below

from .tutorial_data import AERIAL, DRIVING, write_coco

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)  # dozens of commands, some of which train
_BLOCK = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[tuple[str, str]]:
    """Language and content of the code blocks of a tutorial."""
    return _BLOCK.findall((ROOT / 'docs' / 'tutorials' / f'{name}.md').read_text())


class Reader:
    """Somebody who follows a tutorial in a folder, from a clone with its environment active."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.output: list[str] = []
        for name in ('configs', 'tools'):
            (folder / name).symlink_to(ROOT / name)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
        self.environment = {
            **os.environ,
            **environment,
            'PATH': path,
            'PYTHONPATH': str(ROOT),
            'OMP_NUM_THREADS': '1',
        }

    def follow(self, name: str) -> str:
        """Runs all blocks of a tutorial, and gives what they printed."""
        for language, content in blocks(name):
            file = re.match(r'# (\S+\.py)\n', content)
            if file:
                (self.folder / file[1]).write_text(content)
            elif language == 'bash':
                self._run(['bash', '-euo', 'pipefail', '-c', content])
            elif language == 'python':
                self._run([sys.executable, '-c', content])
        return '\n'.join(self.output)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, f'{command[-1]}\n{done.stdout[-4000:]}'
        self.output.append(done.stdout)


@pytest.fixture
def reader(tmp_path: Path, s3_server) -> Callable[[], Reader]:
    return Reader(tmp_path, s3_server.environment)


def _upload(server, bucket: str, folder: Path, prefix: str) -> None:
    server.client.create_bucket(Bucket=bucket)
    for file in folder.iterdir():
        server.client.upload_file(str(file), bucket, f'{prefix}/{file.name}')


def _lineage(work_dir: Path) -> dict[str, str]:
    checkpoint = torch.load(next(work_dir.glob('epoch_*.pth')), weights_only=False)
    return checkpoint['meta']['dataset_meta']['deeplake']


def test_driving(reader, s3_server, tmp_path):
    photographs = tmp_path / 'elsewhere'
    write_coco(tmp_path / 'instances_train2017.json', photographs, DRIVING, images=72, seed=1, at_least=[8])
    _upload(s3_server, 'street', photographs, 'train2017')
    output = reader.follow('driving')
    main = deeplake.open_read_only(str(tmp_path / 'data/driving'))
    assert len(main) == 71
    ids = main['img_id'][:].tolist()
    assert 62 not in ids  # the ids begin at 1
    row = ids.index(9)
    original = {annotation['id']: annotation for annotation in _annotations(tmp_path, 9)}
    kept = main['ann_ids'][row].tolist()
    assert kept == [number for place, number in enumerate(original) if place != 2]
    assert main['boxes'][row].tolist() == [original[number]['bbox'] for number in kept]
    messages = [commit.message for commit in main.history]
    assert [message for message in messages if 'Deleted' in message] == [
        'Deleted row 61: the image is of low quality',
        'Deleted object 2 of row 8: a sign seen from behind',
    ]
    view, copy = main.tags['driving'].open(), deeplake.open_read_only(str(tmp_path / 'data/driving-train'))
    names = [main['categories'].metadata['class_names'][label] for row in view['categories'][:] for label in row]
    assert len(copy) == len(view) < len(main)
    assert copy['img_id'][:].tolist() == view['img_id'][:].tolist()
    assert {'car', 'stop sign', 'person'} < set(names)
    for place, number in enumerate(copy['img_id'][:].tolist()):
        assert copy['images'].get_bytes(place) == (photographs / f'{number:012d}.jpg').read_bytes()
    assert _lineage(tmp_path / 'work_dirs/driving')['uri'].endswith('data/driving-train')
    assert "'car', 'truck', 'bus', 'motorcycle', 'bicycle', 'traffic light', 'stop sign'" in output


def _annotations(folder: Path, img_id: int) -> list[dict]:
    import json

    document = json.loads((folder / 'instances_train2017.json').read_text())
    return [annotation for annotation in document['annotations'] if annotation['image_id'] == img_id]


def test_aerial(reader, tmp_path):
    categories = {name: number for number, name in enumerate(AERIAL)}
    for split, images, first in (('train', 48, 1), ('val', 24, 1001)):
        write_coco(
            tmp_path / f'visdrone_{split}.json',
            tmp_path / split,
            categories,
            images=images,
            seed=first,
            first_id=first,
            sides=(8, 40),
        )
    reader.environment |= {'WANDB_MODE': 'offline', 'WANDB_DIR': str(tmp_path), 'WANDB_SILENT': 'true'}
    output = reader.follow('aerial')
    dataset = deeplake.open_read_only(str(tmp_path / 'data/visdrone'))
    car = AERIAL.index('car')
    for view, low, high in (('train-near', 1, 1000), ('val-near', 1001, 2000)):
        rows = zip(dataset['img_id'][:].tolist(), dataset['boxes'][:], dataset['categories'][:], strict=True)
        near = [
            number
            for number, boxes, labels in rows
            if low <= number <= high and not ((boxes[:, 2:].min(axis=1, initial=99) < 20) & (labels == car)).any()
        ]
        saved = dataset.tags[view].open()  # a column does not keep its view
        assert saved['img_id'][:].tolist() == near
        assert 0 < len(near) < (48 if low == 1 else 24)
    compared = output[output.rindex('data: no difference') :]
    assert re.search(r'train_pipeline\.2\.scale +160, 128 +320, 256', compared)
    assert re.search(r'coco/bbox_mAP +\S+ +\S+\n', compared)
    assert compared.count('unchanged') == 2
    assert _lineage(tmp_path / 'work_dirs/aerial-320')['view_id'] == 'train-near'
    upload, filtering, *trainings = runs_below(tmp_path)
    made = {artifact.digest for run in (upload, filtering) for artifact in run.artifacts()}
    assert len(trainings) == 2
    for run in trainings:
        inputs = {found['split']: found for found in run.config()['input_datasets']}
        assert (inputs['train']['view_id'], inputs['val']['view_id']) == ('train-near', 'val-near')
        used = [artifact for artifact in run.artifacts() if artifact.type == 'dataset']
        assert len(used) == 2
        assert {artifact.digest for artifact in used} <= made


def test_instance_segmentation(reader, s3_server, tmp_path):
    for split, images, first in (('train', 40, 1), ('val', 16, 1001)):
        ann_file, folder = tmp_path / f'instances_{split}.json', tmp_path / split
        write_coco(ann_file, folder, {'cat': 1, 'dog': 2}, images=images, seed=first, first_id=first)
    output = reader.follow('instance_segmentation')
    assert 'coco/segm_mAP' in output
    assert _lineage(tmp_path / 'work_dirs/shapes')['uri'] == 's3://bucket/shapes'
    assert len(list((tmp_path / 'looked-at').iterdir())) == 3
    assert list((tmp_path / 'exported').rglob('*.json'))


def test_bad_labels(reader, tmp_path):
    output = reader.follow('bad_labels')
    data = str(tmp_path / 'data' / 'shapes')
    for path in (data, f'{data}_val'):
        names = {ref: _columns(f'{path}{ref}') for ref in ('', '@training_run')}
        assert {'model_evaluation/loss', 'model_evaluation/boxes'} <= names['@training_run'] - names['']
    before, after = (deeplake.open_read_only(f'{data}{ref}') for ref in ('', '@training_run'))
    assert after['boxes'][14].tolist() == before['boxes'][14].tolist()[1:]
    kept = [row for row in range(48) if row not in (28, 32)]
    assert [after['images'].get_bytes(row) for row in range(len(after))] == [
        before['images'].get_bytes(row) for row in kept
    ]
    table = output[output.rindex('row  file name') :].splitlines()
    listed = [line.split()[0] for line in table[1:11]]
    tested = deeplake.open_read_only(f'{data}_val@training_run')
    ious = tested['model_evaluation/iou'][:]
    assert [ious[int(row)] for row in listed] == sorted(ious)[:10]
    assert _lineage(tmp_path / 'work_dirs/easy')['view_id'] == 'easy'
    assert _lineage(tmp_path / 'work_dirs/mended')['branch'] == 'training_run'
    assert len(list((tmp_path / 'hard').iterdir())) == 4


def _columns(path: str) -> set[str]:
    return {column.name for column in deeplake.open_read_only(path).schema.columns}
