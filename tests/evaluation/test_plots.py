from __future__ import annotations

from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image

from terrahash.errors import InputError
from terrahash.evaluation import plots
from terrahash.evaluation.report import Report

pytest.importorskip("matplotlib")


def test_every_plot_as_png_and_as_reproducible_svg(report: Report) -> None:
    png = plots.all_plots([report])
    assert set(png) == {"precision_recall", "precision_at_rank", "distances", "bit_balance"}
    for content in png.values():
        assert Image.open(BytesIO(content)).size == (832, 560)
    svg = plots.all_plots([report], "svg")
    assert svg == plots.all_plots([report], "svg")
    for content in svg.values():
        ElementTree.fromstring(content)  # noqa: S314  (our own)
    assert b"k = 5" in svg["precision_at_rank"]


def test_several_reports_share_a_plot(report: Report) -> None:
    several = plots.all_plots([report, report], "svg")
    assert set(several) == {"precision_recall", "precision_at_rank"}
    assert several["precision_recall"].count(b"dhcl 8 bits") == 2


def test_values_against_bits_with_spread_over_seeds() -> None:
    series = {f"method {n}": {16: [0.7, 0.72 + n / 100], 32: [0.8, 0.81]} for n in range(10)}
    svg = plots.against_bits(series, title="mAP@20", ylabel="mAP@20", form="svg")
    assert all(name.encode() in svg for name in series)
    assert plots.against_bits({"one": {16: [0.5]}}, title="", ylabel="").startswith(b"\x89PNG")


def test_nothing_to_plot() -> None:
    with pytest.raises(InputError, match="nothing to plot"):
        plots.all_plots([])
    with pytest.raises(InputError, match="nothing to plot"):
        plots.against_bits({}, title="", ylabel="")
