"""Searching over HTTP gives what the archive gives."""

from __future__ import annotations

import base64
import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from terrahash.archive import Hits, open_archive
from terrahash.service import Settings, create_app
from tests.service.conftest import WRITING


def answered(hits: Hits) -> list[tuple[int, float]]:
    return list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))


def given(body: dict[str, Any]) -> list[tuple[int, float]]:
    return [(hit["id"], hit["distance"]) for hit in body["hits"]]


def search(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/api/v1/search", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_by_id_like_the_archive(client: TestClient, archive_path: Path) -> None:
    with open_archive(archive_path, mode="r") as archive:
        expected = answered(archive.search(5, 12))
    body = search(client, id=5, k=12)
    assert given(body) == expected
    assert body["query"]["kind"] == "id"
    assert given(client.get("/api/v1/items/5/similar?k=12").json()) == expected


@pytest.mark.parametrize("plain", [False, True])
def test_by_image_like_the_archive(
    client: TestClient, archive_path: Path, tiles: Path, plain: bool
) -> None:
    image = tiles / "rows" / "rows03.png"
    with open_archive(archive_path, mode="r") as archive:
        hits = archive.search(image, 9, asymmetric=not plain)
    address = f"/api/v1/search/image?k=9&ranking={'plain' if plain else 'asymmetric'}"
    with image.open("rb") as file:
        body = client.post(address, files={"image": file}).json()
    assert given(body) == answered(hits)
    assert body["ranking"] == ("plain" if plain else "asymmetric")
    assert body["query"]["predicted_label"]
    assert 0 < body["query"]["confidence"] <= 1
    bare = client.post(address, content=image.read_bytes(), headers={"Content-Type": "image/png"})
    assert given(bare.json()) == given(body)


def test_an_image_s_code_finds_the_same(client: TestClient, tiles: Path) -> None:
    data = (tiles / "checks" / "checks01.png").read_bytes()
    first = client.post("/api/v1/search/image?k=30", files={"image": data}).json()
    query = first["query"]
    again = search(client, code={"hex": query["code"], "magnitudes": query["magnitudes"]}, k=30)
    assert given(again) == given(first)


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    """Sixteen bits in four bands, placed on the Earth."""
    rasterio = pytest.importorskip("rasterio", reason="pip install 'terrahash[geo]'")
    path = tmp_path / "scene.tif"
    values = np.random.default_rng(3).integers(200, 9000, (4, 48, 48)).astype(np.uint16)
    values[:, :, 20:30] = 12_000
    with rasterio.open(
        path, "w", driver="GTiff", width=48, height=48, count=4, dtype="uint16",
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.write(values)
    return path


def test_a_raster_is_read_as_by_the_command_line(
    client: TestClient, archive_path: Path, raster: Path
) -> None:
    with open_archive(archive_path, mode="r") as archive:
        expected = archive.search(raster, 20)
    answer = client.post("/api/v1/search/image?k=20", files={"image": raster.read_bytes()}).json()
    assert given(answer) == answered(expected)
    assert answer["query"]["preview"] is None
    added = client.post("/api/v1/items", files={"image": raster.read_bytes()}, headers=WRITING)
    assert added.status_code == 201
    (number,) = added.json()["ids"]
    item = client.get(f"/api/v1/items/{number}").json()
    assert item["code"] == answer["query"]["code"]
    west, south, east, north = item["bbox"]
    assert 8.99 < west < east < 9.01
    assert 45.1 < south < north < 45.2
    assert client.get(f"/api/v1/items/{number}/thumbnail").status_code == 200


def test_what_was_seen_of_a_picture_can_be_shown(client: TestClient, raster: Path) -> None:
    data = raster.read_bytes()
    answer = client.post("/api/v1/search/image?preview=true", files={"image": data}).json()
    kind, _, text = answer["query"]["preview"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as shown:
        seen = np.asarray(shown.convert("RGB"), np.float32)
    assert seen.shape == (48, 48, 3)
    # What is brightest in the file is brightest in the picture.
    assert seen[:, 22:28].mean() > seen[:, :18].mean() + 50


def test_a_raster_that_is_damaged_or_too_large_is_refused(
    client: TestClient, archive_path: Path, raster: Path
) -> None:
    data = raster.read_bytes()
    for broken in (data[: len(data) // 2], data[:16], b"II*\0" + bytes(1000)):
        response = client.post("/api/v1/search/image", files={"image": broken})
        assert response.status_code == 422
        assert "terrahash-" not in response.json()["detail"]
    with TestClient(create_app(Settings(archive=archive_path, max_pixels=1000))) as bounded:
        response = bounded.post("/api/v1/search/image", files={"image": data})
    assert response.status_code == 422
    assert "48 × 48" in response.json()["detail"]


def test_no_room_for_a_raster_is_told(
    client: TestClient, raster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    data = raster.read_bytes()
    response = client.post("/api/v1/search/image", files={"image": data})
    assert response.status_code == 507
    assert "TMPDIR" in response.json()["remedy"]


def test_pages_go_through_ties(client: TestClient) -> None:
    whole = given(search(client, id=1, k=80))
    pages: list[tuple[int, float]] = []
    offset: int | None = 0
    while offset is not None:
        page = search(client, id=1, k=7, offset=offset)
        assert [hit["rank"] for hit in page["hits"]] == [
            offset + n + 1 for n in range(len(page["hits"]))
        ]
        pages += given(page)
        offset = page["next_offset"]
    assert pages == whole
    assert len(whole) == 80


def test_filters_are_the_archive_s(client: TestClient, archive_path: Path) -> None:
    filters = {
        "where": "confidence > 0.1 OR confidence <= 0.1",
        "label": ["rows", "o'brien"],
        "bbox": [-180, -90, 20, 90],
        "after": "2022-01-01",
        "before": "2024-06-01",
    }
    with open_archive(archive_path, mode="r") as archive:
        expected = answered(
            archive.search(
                3,
                50,
                where="label = 'rows'",
                bbox=(-180, -90, 20, 90),
                after="2022-01-01",
                before="2024-06-01",
            )
        )
    assert given(search(client, id=3, k=50, filters=filters)) == expected
    assert 0 < len(expected) < 20
    same = client.get(
        "/api/v1/items/3/similar?k=50&label=rows&bbox=-180,-90,20,90&after=2022-01-01"
        "&before=2024-06-01"
    )
    assert given(same.json()) == expected


def test_radius_bounds_distances(client: TestClient) -> None:
    body = search(client, id=3, k=80, radius=4)
    assert body["hits"]
    assert all(hit["distance"] <= 4 for hit in body["hits"])


def test_examples_draw_their_like_near(client: TestClient) -> None:
    labels = {
        item["id"]: item["label"] for item in client.get("/api/v1/items?limit=80").json()["items"]
    }
    rows = [number for number, label in labels.items() if label == "rows"]
    curves = [number for number, label in labels.items() if label == "curves"]
    body = search(client, examples={"positive": rows[:5], "negative": curves[:5]}, k=15)
    assert body["query"]["kind"] == "examples"
    assert len(body["query"]["magnitudes"]) == 13
    found = [hit["label"] for hit in body["hits"]]
    assert found.count("rows") > found.count("curves")


def test_hits_tell_what_is_known(client: TestClient) -> None:
    hit = search(client, id=1, k=1)["hits"][0]
    assert hit["id"] == 1
    assert hit["label"] == "checks"
    assert hit["datetime"].endswith("Z")
    assert len(hit["bbox"]) == 4
    assert bytes.fromhex(hit["code"])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "nothing to look for"),
        ({"id": 1, "code": {"hex": "00"}}, 422, "id and code"),
        ({"id": 10**6}, 404, "1000000"),
        ({"id": 1, "k": 0}, 422, "k"),
        ({"id": 1, "k": 1000, "offset": 9500}, 422, "10000"),
        ({"id": 1, "colour": "red"}, 422, "colour"),
        ({"id": 1, "filters": {"where": "label ="}}, 422, "label"),
        ({"id": 1, "filters": {"where": "nothing = 1"}}, 422, "nothing"),
        ({"id": 1, "filters": {"bbox": [0, 50, 1, 40]}}, 422, "bbox"),
        ({"id": 1, "filters": {"after": "soon"}}, 422, "soon"),
        ({"code": {"hex": "00"}}, 422, "hexadecimal"),
        ({"examples": {"negative": [1]}}, 422, "positive"),
        ({"id": 2**70}, 422, "id"),
    ],
)
def test_errors_say_what_to_do(
    client: TestClient, body: dict[str, Any], status: int, says: str
) -> None:
    response = client.post("/api/v1/search", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert says in problem["detail"]
    assert problem["remedy"]


def test_an_image_that_is_none(client: TestClient) -> None:
    response = client.post("/api/v1/search/image", files={"image": b"not a picture"})
    assert response.status_code == 422
    assert "known format" in response.json()["detail"]
    assert client.post("/api/v1/search/image", json={}).status_code == 415
    assert client.post("/api/v1/search/image", files={"other": b"x"}).status_code == 422


def test_an_archive_without_encoder_still_answers_by_id(
    client: TestClient, archive_path: Path, tiles: Path
) -> None:
    for file in (archive_path / "encoder").iterdir():
        file.unlink()
    (archive_path / "encoder").rmdir()
    fresh = client.app.state.service.library  # type: ignore[attr-defined]
    fresh.close()
    assert search(client, id=1)["hits"]
    data = (tiles / "rows" / "rows00.png").read_bytes()
    response = client.post("/api/v1/search/image", files={"image": data})
    assert response.status_code == 501
    assert "encoder" in response.json()["detail"]
