"""The service keeps to its own OpenAPI document, whatever is thrown at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from terrahash.service import Settings, create_app
from tests.service.conftest import WRITE_TOKEN, WRITING
from tests.service.live import live

schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
from schemathesis.specs.openapi import checks  # noqa: E402

# Requests for each operation: the whole takes some ten seconds.
EXAMPLES = 12
CHECKS = [
    checks.response_schema_conformance,
    checks.status_code_conformance,
    checks.content_type_conformance,
]


@pytest.fixture(scope="module")
def document(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The OpenAPI document of a service that is running and may be written to."""
    path = tmp_path_factory.mktemp("open") / "tiles.terrahash"
    shutil.copytree(made, path)
    with live(Settings(archive=path, write_token=WRITE_TOKEN)) as address:
        yield schemathesis.openapi.from_url(f"http://{address}/api/v1/openapi.json")


def _operations() -> list[str]:
    paths = create_app(Settings(archive=Path("none"))).openapi()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


@pytest.mark.slow
@pytest.mark.parametrize("label", _operations())
def test_operations(document: Any, label: str) -> None:
    method, path = label.split(" ")
    operation = document[path][method]

    @given(operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def keeps_to_it(case: Any) -> None:
        response = case.call(headers=WRITING)
        assert response.status_code < 500 or response.status_code in (501, 503)
        case.validate_response(response, checks=CHECKS)

    keeps_to_it()
