"""The page in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deeplake_mmdet.report.archive import Report
from deeplake_mmdet.report.gallery import GalleryImage
from deeplake_mmdet.report.outcome import Outcome
from deeplake_mmdet.report.subject import Subject
from deeplake_mmdet.report.write import write_report
from tests.report.test_report_outcome import curves
from tests.report.test_report_page import HEADINGS
from tests.support.evaluations import random_evaluation

sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed (pip install playwright)')
BROWSER = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', 'chrome'))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason='no Chromium on the PATH (chromium, chromium-browser, google-chrome)'
)
SIZES = {'desk': {'width': 1280, 'height': 900}, 'phone': {'width': 390, 'height': 844}}
LOSSES = [
    '{"loss": 1.5, "lr": 0.1, "iter": 10, "step": 10, "epoch": 1}',
    '{"loss": 1.0, "lr": 0.1, "iter": 20, "step": 20, "epoch": 2}',
    '{"coco/bbox_mAP": 0.5, "step": 2}',
]
CLASSES = ('<script>document.title = "taken over"</script>', '犬と猫', 'a name that is much longer than others ' * 3)


@pytest.fixture(scope='module')
def page_file(tmp_path_factory) -> Path:
    """A page with every section, long and odd names, and more classes than the matrix shows."""
    run = tmp_path_factory.mktemp('run')
    (run / 'vis_data').mkdir()
    (run / 'vis_data' / 'scalars.json').write_text('\n'.join(LOSSES))
    names = (*CLASSES, *(f'class {k}' for k in range(30)))
    evaluation = random_evaluation(0, classes=names, objects=9, images=30)
    per_class = {f'bbox_mAP_{k}': np.linspace(0, 1, len(names)) for k in range(6)}
    evaluation = replace(evaluation, per_class=per_class, curves={'bbox': curves(0.5, 0.75, classes=len(names))})
    jpeg = cv2.imencode('.jpg', np.random.default_rng(0).integers(0, 256, (300, 720, 3), np.uint8))[1].tobytes()
    counts = {'right': 1, 'missed': 2, 'false': 0, 'wrong class': 0}
    gallery = [GalleryImage(row, row, 'long_name' * 30, {'missed': CLASSES[0]}, counts, True, jpeg) for row in range(3)]
    report = Report(Subject('rtmdet.py', 'validation', 'now', 2, 20, 'epoch_2.pth'), evaluation, gallery)
    write_report(report, Outcome.of(evaluation), run / 'report')
    return run / 'report' / 'index.html'


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture(params=SIZES)
def opened(request, browser, page_file) -> Iterator[Any]:
    """The page at one width; what the browser complains of fails the test at its end."""
    page = browser.new_page(viewport=SIZES[request.param])
    complaints: list[str] = []
    page.on('console', lambda message: complaints.append(message.text))
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.on('requestfailed', lambda failed: complaints.append(failed.url[:80]))
    page.goto(page_file.as_uri())
    yield page
    page.close()
    assert complaints == []


def test_all_sections_and_pictures_are_there_and_nothing_runs_over_the_edge(opened):
    assert opened.title() == 'rtmdet.py: validation after epoch 2'
    assert [heading.inner_text() for heading in opened.query_selector_all('h2')] == HEADINGS
    images = opened.evaluate(
        '[...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth, i.clientHeight])'
    )
    assert len(images) == 12
    assert all(complete and min(sizes) > 0 for complete, *sizes in images)
    assert opened.evaluate('document.documentElement.scrollWidth <= window.innerWidth')
    assert CLASSES[0] in opened.inner_text('#classes')


def test_wide_content_scrolls_inside_of_its_section(opened):
    overflowing = opened.evaluate(
        '[...document.querySelectorAll("section *")].filter(e => e.getBoundingClientRect().right > innerWidth'
        ' && !e.closest(".scroll, .drawn")).map(e => e.outerHTML.slice(0, 80))'
    )
    assert overflowing == []
    captions = '[...document.querySelectorAll("figcaption")].map(e => e.scrollWidth - e.clientWidth)'
    assert max(opened.evaluate(captions)) <= 0
    assert opened.evaluate('(e => e.scrollWidth > e.clientWidth)(document.querySelector("#classes .scroll"))')


def test_a_click_on_a_head_sorts_its_column(opened):
    def column(number: int) -> list[str]:
        return [cell.inner_text() for cell in opened.query_selector_all(f'#classes tbody tr > :nth-child({number})')]

    before = column(2)
    head = opened.query_selector('#classes thead th:nth-child(2) button')
    head.click()
    assert column(2) == sorted(before, key=int, reverse=True) != before
    head.click()
    assert column(2) == sorted(before, key=int)
    opened.query_selector('#classes thead th:nth-child(5) button').click()
    recalls = column(5)
    numbers = [float(text) for text in recalls if text != '–']
    assert numbers == sorted(numbers, reverse=True)
    assert recalls[-1] == '–' and '–' not in recalls[: len(numbers)]
    assert opened.get_attribute('#classes thead th:nth-child(5)', 'aria-sort') == 'descending'


def test_a_click_on_an_image_shows_it_large_and_another_click_closes_it(opened):
    assert not opened.is_visible('dialog')
    opened.click('.zoom >> nth=1')
    assert opened.is_visible('dialog img')
    assert opened.get_attribute('dialog img', 'alt').startswith('Row 1: missed')
    opened.click('dialog img')
    assert not opened.is_visible('dialog')


def test_a_dark_browser_shows_dark_text_on_white(browser, page_file):
    page = browser.new_page(color_scheme='dark')
    page.goto(page_file.as_uri())
    colours = page.evaluate('(s => [s.color, s.backgroundColor])(getComputedStyle(document.querySelector("section")))')
    assert colours == ['rgb(31, 41, 51)', 'rgb(255, 255, 255)']
    page.close()


def test_on_paper_tables_are_whole(browser, page_file):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.emulate_media(media='print')
    whole = page.evaluate('(e => [e.clientHeight, e.scrollHeight])(document.querySelector("#classes .scroll"))')
    assert whole[0] == whole[1] > 500
    assert not page.is_visible('nav')
    page.close()
