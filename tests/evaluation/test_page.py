from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from terrahash.datasets.dataset import Dataset
from terrahash.evaluation.page import evaluation_page
from terrahash.evaluation.pictures import QueryRow, Tile
from terrahash.evaluation.report import Report
from terrahash.evaluation.report_html import Command, Gallery, Table, html_page

VOID = {"meta", "img", "br", "link", "input", "hr"}
OPTIONAL = {"li"}  # HTML closes these by itself


class Page(HTMLParser):
    """Collects addresses and checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID | OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in OPTIONAL:
            assert self.open.pop() == tag


def test_page_of_a_report_is_whole_and_self_contained(report: Report, dataset: Dataset) -> None:
    commands = [Command("This report:", "terrahash evaluate tiles --model 'a b'")]
    text = evaluation_page(report, dataset, commands)
    page = Page(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)
    assert "default-src 'none'" in text
    for fact in (report.split_hash, "within-test", f"{report.map_at_k:.4f}", "tied items"):
        assert fact in text
    assert "terrahash evaluate tiles --model &#x27;a b&#x27;" in text
    assert text.count("<figure class=right>") + text.count("<figure class=wrong>") == 90
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_page_without_matplotlib_has_no_plots(
    report: Report, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "class=plot>" not in evaluation_page(report, dataset)


def test_text_from_outside_is_escaped() -> None:
    evil = '<script>alert(1)</script>" onerror="x'
    tile = Tile(np.zeros((8, 8, 3), np.uint8), evil, evil, True)
    text = html_page(
        title=evil,
        lead=evil,
        figures=[(evil, evil)],
        tables=[Table(evil, [(evil, evil, evil)], evil)],
        galleries=[Gallery(evil, [QueryRow(tile, (tile, Tile(b"broken", evil)))], evil)],
        plots={evil: b"\x89PNG"},
        commands=[Command(evil, evil)],
        notes=[evil],
        footer=evil,
    )
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert 'onerror="x' not in text


def test_least_page() -> None:
    assert Page(html_page(title="t", lead="l")).open == []
