"""The page: complete in one file, and the same names and numbers in it as in the evaluation, whatever they are."""

from __future__ import annotations

import configparser
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplake_mmdet.metrics.evaluation import Evaluation
from deeplake_mmdet.report.archive import Report
from deeplake_mmdet.report.gallery import GalleryImage
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.page import Page
from deeplake_mmdet.report.subject import Subject
from deeplake_mmdet.report.training_log import TrainingLog
from tests.report.test_report_outcome import curves
from tests.report.test_report_training_log import TRAIN, VAL
from tests.support.evaluations import random_detections, random_evaluation, random_truth

SUBJECT = Subject('rtmdet.py', 'validation', '2024-01-31 12:00 +0000', 4, 240, 'epoch_4.pth')
IMAGE = GalleryImage(
    7, 'img<7>', 'a&b.jpg', {'missed': '2 cat'}, {'right': 3, 'missed': 2, 'false': 0, 'wrong class': 0}, True, b'\xff'
)
HEADINGS = [
    'What was read',
    'Metrics',
    'Classes',
    'Precision and recall',
    'Confusion',
    'Boxes and scores',
    'Training',
    'Worst images',
]
_VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}


class Parsed(HTMLParser):
    """Texts and attributes of a page; fails on tags that do not close as they opened."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append('')

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[str]:
        return [' '.join(text.split()) for text in self.texts.get(tag, [])]

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or '' for own, attributes in self.tags if own == tag and name in attributes]


def html_of(
    evaluation: Evaluation, gallery: Any = (), log: TrainingLog | None = None, subject: Subject = SUBJECT
) -> str:
    return Page(Report(subject, evaluation, list(gallery)), Outcome.of(evaluation), log or TrainingLog()).html()


@pytest.fixture(scope='module')
def full() -> str:
    """A page with every section."""
    return html_of(random_evaluation(), [IMAGE], TrainingLog.of([*TRAIN, VAL]))


def test_the_page_has_all_sections_in_order_and_a_link_to_each(full):
    page = Parsed(full)
    assert page.all('h2') == HEADINGS
    assert sorted(page.attributes('a', 'href')) == sorted(f'#{id_}' for id_ in page.attributes('section', 'id'))
    assert page.all('h1') == page.all('title') == ['rtmdet.py: validation after epoch 4']
    assert '2024-01-31 12:00 +0000 · checkpoint epoch_4.pth · iteration 240' in page.all('p')


def test_a_test_has_no_training_and_no_epoch():
    page = Parsed(html_of(random_evaluation(), subject=Subject('x.py', 'test', 'now')))
    assert page.all('h2') == [heading for heading in HEADINGS if heading != 'Training']
    assert page.all('h1') == ['x.py: test']
    assert 'now' in page.all('p')


def test_what_was_read_is_told_word_by_word_and_without_what_is_empty(full):
    evaluation = replace(
        random_evaluation(), revision={**random_evaluation().revision, 'query': "select * where a < 'b'"}
    )
    page = Parsed(html_of(evaluation))
    told = dict(zip(page.all('dt'), page.all('dd'), strict=True))
    assert told['dataset'] == 's3://bucket/shapes'
    assert told['commit'] == '0000000003c00000000'
    assert told['view'] == 'val'
    assert told['query'] == "select * where a < 'b'"
    assert told['digest'] == evaluation.revision['digest']
    assert 'query' not in Parsed(full).all('dt')
    assert 'row numbers are those of the view “val”' in ' '.join(page.all('p'))


def test_row_numbers_of_a_dataset_without_a_view_are_its_own():
    evaluation = replace(random_evaluation(), revision={**random_evaluation().revision, 'view_id': ''})
    assert 'row numbers are those of the dataset' in ' '.join(Parsed(html_of(evaluation)).all('p'))


def test_every_metric_and_every_class_is_in_a_table():
    values = {'bbox_mAP': 0.1234, 'bbox_mAP_50': 0.25, 'strange': float('nan'), 'none': -1.0}
    evaluation = replace(random_evaluation(), values=values)
    page = Parsed(html_of(evaluation))
    rows = page.all('tr')
    for row in ('bbox_mAP 0.123', 'bbox_mAP_50 0.250', 'strange –', 'none –'):
        assert row.replace(' ', '') in [text.replace(' ', '') for text in rows]
    assert {'cat', 'dog', 'owl'} <= set(page.all('th'))
    cards = dict(zip(page.all('dt'), page.all('dd'), strict=True))
    assert cards['bbox mAP'] == '0.123'
    assert cards['images'] == '12'
    assert cards['objects'] == str(len(evaluation.truth.labels))
    assert cards['detections'] == str(len(evaluation.detections.labels))


def test_the_counts_below_the_gallery_are_those_of_the_evaluation():
    evaluation = random_evaluation(0, images=30)
    outcome = Outcome.of(evaluation)
    text = ' '.join(Parsed(html_of(evaluation)).all('p'))
    right, confused, false, missed = map(
        int, re.search(r'(\d+) right, (\d+) of a wrong class, (\d+) false, (\d+) missed', text).groups()
    )
    assert confused > 0
    assert right == outcome.right.sum()
    assert confused + false == outcome.wrong.sum()
    assert confused + missed == outcome.missed.sum()
    assert right + confused + missed == outcome.matching.counted.sum()


def test_an_image_of_the_gallery_says_where_it_is_and_what_is_wrong():
    page = Parsed(html_of(random_evaluation(), [IMAGE, replace(IMAGE, row=8, file_name='', readable=False)]))
    assert page.all('figcaption')[-2] == 'row 7 · img_id img<7> · a&b.jpg 3 right 2 missed 2 cat'
    assert page.all('figcaption')[-1] == (
        'row 8 · img_id img<7> This image cannot be read: only its boxes are drawn. 3 right 2 missed 2 cat'
    )
    assert page.attributes('img', 'alt')[-2] == 'Row 7: missed: 2 cat. '


EVIL = ('<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', '&amp; {{ 7 * 7 }}', '犬', '  ')


def test_no_name_is_taken_for_html():
    evaluation = random_evaluation(0, classes=EVIL, objects=8, images=30)
    evaluation = replace(evaluation, values={EVIL[0]: 1.0}, revision={'uri': EVIL[1], EVIL[2]: EVIL[0]})
    image = replace(IMAGE, img_id=EVIL[0], file_name=EVIL[1], mistakes={'missed': EVIL[1]})
    page = Parsed(html_of(evaluation, [image], subject=Subject(EVIL[0], EVIL[1], EVIL[2], 0, 0, EVIL[0])))
    assert len(page.attributes('script', 'src')) == 0
    assert len(page.all('script')) == 1
    assert not any(name.startswith('on') for _, attributes in page.tags for name in attributes)
    for name in EVIL[:4]:
        assert name in page.all('th')
    assert EVIL[0] in page.all('h1')[0]
    assert EVIL[1] in page.attributes('img', 'alt')[-1]


def test_the_page_needs_nothing_beside_it(full):
    page = Parsed(full)
    assert all(source.startswith('data:image/') for source in page.attributes('img', 'src'))
    assert page.attributes('link', 'href') == page.attributes('script', 'src') == []
    assert all(href.startswith('#') for href in page.attributes('a', 'href'))
    without_pictures = re.sub(r'data:image/[^"]*', '', full)
    assert re.findall(r'(?:https?:|url\(|@import)', without_pictures) == []
    policy = page.attributes('meta', 'content')
    assert any(text.startswith("default-src 'none'; img-src data:;") for text in policy)


def test_the_templates_are_shipped_with_the_package():
    root = Path(__file__).parents[2]
    config = configparser.ConfigParser()
    config.read(root / 'setup.cfg', encoding='utf-8')
    patterns = config['options.package_data'].get('deeplake_mmdet.report', '').split(',')
    package = root / 'deeplake_mmdet' / 'report'
    shipped = {file for pattern in patterns if pattern for file in package.glob(pattern.strip())}
    assert shipped == set((package / 'templates').iterdir())


def test_every_picture_has_words_for_those_who_cannot_see_it(full):
    page = Parsed(full)
    assert len(page.attributes('img', 'alt')) == len(page.attributes('img', 'src')) == 9
    assert all(len(text) > 15 for text in page.attributes('img', 'alt'))


@pytest.mark.parametrize('classes', [1, 85, 1200])
def test_pages_are_written_for_one_class_and_for_many(classes):
    names = [f'class {k}' for k in range(classes)]
    evaluation = random_evaluation(0, classes=names, images=20)
    page = Parsed(html_of(replace(evaluation, curves={'bbox': curves(0.5, 0.75, classes=classes)})))
    assert [name for name in page.all('th') if name in names].count('class 0') >= 1
    assert set(names) <= set(page.all('th'))
    if classes > 20:
        assert f'{classes - 20} classes are put together as “others”' in ' '.join(page.all('p'))


@pytest.mark.parametrize(
    ('images', 'objects', 'share', 'noise'), [(0, 0, 0, 0), (5, 0, 0, 0), (5, 0, 0, 3), (5, 4, 0, 0)]
)
def test_pages_are_written_where_there_is_nothing(images, objects, share, noise):
    truth = random_truth(0, images=images, objects=objects)
    found = random_detections(truth, 1, share=share, noise=noise)
    evaluation = replace(
        random_evaluation(),
        truth=truth,
        detections=found,
        values={'mAP': float('nan')},
        per_class={'AP50': np.full(3, np.nan)},
    )
    page = Parsed(html_of(evaluation))
    assert 'No detection is right at any score' in ' '.join(page.all('p'))
    cards = dict(zip(page.all('dt'), page.all('dd'), strict=True))
    assert cards['best F1'] == '–' and cards['mAP'] == '–'


def test_a_metric_that_only_wrote_files_has_a_page_without_numbers():
    page = Parsed(html_of(replace(random_evaluation(), values={}, per_class={})))
    assert 'The metric gave no numbers.' in page.all('p')


def test_boxes_and_masks_together_have_curves_of_both():
    evaluation = random_evaluation(0, masks=True)
    both = {name: curves(0.5, 0.75) for name in ('bbox', 'segm')}
    values = {'bbox_mAP': 0.5, 'segm_mAP': 0.25}
    page = Parsed(html_of(replace(evaluation, curves=both, values=values)))
    titles = page.all('figcaption')
    for what in ('boxes, IoU 0.50', 'boxes, IoU 0.75', 'masks, IoU 0.50', 'masks, IoU 0.75'):
        assert f'Precision and recall ({what})' in titles
    assert 'mAP0.5000.250' in [row.replace(' ', '') for row in page.all('tr')]
    assert 'boxes match from an IoU of 0.5 on' in ' '.join(page.all('p'))
