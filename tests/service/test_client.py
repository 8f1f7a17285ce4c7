"""The Python client answers like the archive itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrahash import client
from terrahash.archive import Archive, open_archive
from terrahash.client import Client, connect
from terrahash.errors import ArchiveError, ImageError, InputError
from terrahash.service import Settings, schemas
from tests.service.conftest import READ_TOKEN
from tests.service.live import live


@pytest.fixture(scope="module")
def remote(made: Path) -> Iterator[Client]:
    with live(Settings(archive=made, token=READ_TOKEN)) as address:
        yield connect(f"http://{address}", READ_TOKEN)


def test_search_is_the_archive_s(remote: Client, made: Path, tiles: Path) -> None:
    image = tiles / "rows" / "rows05.png"
    filters = {"where": "label != 'checks'", "after": "2022-01-01", "bbox": (-180, -90, 180, 90)}
    with open_archive(made, mode="r") as local:
        for query in (5, image, str(image), np.asarray(Image.open(image))):
            for asymmetric in (True, False):
                expected = local.search(query, 15, asymmetric=asymmetric, **filters)
                hits = remote.search(query, 15, asymmetric=asymmetric, **filters)
                assert hits.query == expected.query
                assert hits.ids.tolist() == expected.ids.tolist()
                assert hits.distances.tolist() == expected.distances.tolist()
                assert (hits.scores is None) == (expected.scores is None)
                assert hits.ties_at_last_distance == expected.ties_at_last_distance
                ours, theirs = hits.to_json(), expected.to_json()
                assert ours["hits"] == theirs["hits"]
        assert remote.records([1, 2])[0].to_json() == local.records([1])[0].to_json()
    assert len(remote) == 80
    assert "rows" in hits._repr_html_()


def test_ties_and_radius_are_the_archive_s(
    remote: Client, made: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tiles / "rows" / "rows05.png"
    monkeypatch.setattr("terrahash.client.PAGE", 7)
    asked: list[dict[str, Any]] = [
        {"k": k, "ties": True, "radius": radius} for k in (1, 2, 5, 13, 80) for radius in (None, 3)
    ]
    asked += [{"k": None, "radius": 3}, {"k": None, "radius": 0}, {"k": 4, "radius": 2.5}]
    longer = 0
    with open_archive(made, mode="r") as local:
        for options in asked:
            for query in (5, image):
                expected = local.search(query, **options)
                hits = remote.search(query, **options)
                assert hits.ids.tolist() == expected.ids.tolist(), options
                assert hits.ties_at_last_distance == expected.ties_at_last_distance, options
                longer += len(hits.ids) > (options["k"] or 80)
    assert longer, "nothing tied"


def test_the_signature_is_the_archive_s() -> None:
    ours, theirs = (inspect.signature(kind.search).parameters for kind in (Client, Archive))
    assert {name: one.default for name, one in ours.items()} == {
        name: one.default for name, one in theirs.items()
    }


def test_bounds_are_the_service_s() -> None:
    assert (client.PAGE, client.MOST) == (schemas.MAX_PAGE, schemas.MAX_HITS)


def test_many_hits_come_in_pages(remote: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = remote.search(3, 80).ids.tolist()
    monkeypatch.setattr("terrahash.client.PAGE", 11)
    assert remote.search(3, 80).ids.tolist() == whole
    assert remote.search(3, 500).ids.tolist() == whole


def test_an_image_is_sent_once(
    remote: Client, made: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = Client._ask

    def noted(self: Client, method: str, path: str, *rest: Any) -> Any:
        asked.append(path.partition("?")[0])
        return ask(self, method, path, *rest)

    monkeypatch.setattr(Client, "_ask", noted)
    monkeypatch.setattr("terrahash.client.PAGE", 11)
    image = tiles / "checks" / "checks07.png"
    filters: dict[str, Any] = {"where": "confidence > 0", "bbox": (-180, -90, 180, 90)}
    hits = remote.search(image, 40, ties=True, **filters)
    assert asked.count("search/image") == 1
    assert len(asked) > 3
    with open_archive(made, mode="r") as local:
        expected = local.search(image, 40, ties=True, **filters)
    assert hits.ids.tolist() == expected.ids.tolist()
    assert hits.scores is not None
    assert hits.scores.tolist() == expected.scores.tolist()  # type: ignore[union-attr]


def test_errors_are_the_archive_s(remote: Client, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="999"):
        remote.search(999)
    with pytest.raises(InputError, match="nothing"):
        remote.search(1, where="nothing = 1")
    with pytest.raises(ImageError):
        remote.search(tmp_path / "no.png")
    with pytest.raises(InputError, match="uint8"):
        remote.search(np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="neither"):
        remote.search(1, None)
    with pytest.raises(InputError, match="k is 0"):
        remote.search(1, 0)
    with pytest.raises(InputError, match="10000"):
        remote.search(1, 10_001)
    with pytest.raises(InputError, match="token"):
        connect(remote.url).search(1)
    with pytest.raises(InputError, match="address"):
        connect("file:///etc/passwd")
    with pytest.raises(ArchiveError, match="does not answer"):
        connect("http://127.0.0.1:9", timeout=2).info()
