"""The service asked whatever its OpenAPI document allows, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.conftest import PORTRAIT
from tests.web.conftest import run

ENDPOINTS = [
    "POST /v1/predict", "POST /v1/explain", "GET /v1/models", "POST /v1/video",
    "GET /v1/video/{key}", "DELETE /v1/video/{key}", "GET /v1/video/{key}/result",
    "GET /v1/video/{key}/clip.mp4", "GET /v1/video/{key}/table.csv", "GET /healthz",
    "GET /metrics",
]  # fmt: skip

#: Real images beside random bytes, so that answers are fuzzed and not only refusals.
FILES = st.one_of(st.just(PORTRAIT.read_bytes()), st.binary(max_size=200))
for _kind in ("image/jpeg", "image/png", "application/octet-stream", "video/mp4", "video/webm"):
    schemathesis.openapi.media_type(_kind, FILES)

#: Random bytes are a string, as the document asks, and no image: they are refused.
LEFT_OUT = {"positive_data_acceptance"}
load_all_checks()
CHECKED = [check for check in CHECKS.get_all() if check.__name__ not in LEFT_OUT]


@pytest.fixture(scope="module")
def schema() -> Iterator[schemathesis.BaseSchema]:
    with pytest.MonkeyPatch.context() as patch:
        # the document names the cheap methods only, else most of the time goes into LIME
        patch.setattr("mien.web.describe.supported", lambda _: ["cam", "regions"])
        running = run()
    yield schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    running.stop()


def test_answers_are_checked_against_the_document() -> None:
    names = {check.__name__ for check in CHECKED}
    assert names > {
        "status_code_conformance",
        "response_schema_conformance",
        "not_a_server_error",
        "content_type_conformance",
        "negative_data_rejection",
    }


def test_the_document_lists_every_endpoint(schema: schemathesis.BaseSchema) -> None:
    found: list[Any] = [one.ok() for one in schema.get_all_operations()]  # type: ignore[union-attr]  # else it fails
    assert {f"{one.method.upper()} {one.path}" for one in found} == set(ENDPOINTS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_answer_is_as_documented(
    schema: schemathesis.BaseSchema, endpoint: str, mode: GenerationMode
) -> None:
    method, path = endpoint.split()
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
        pytest.skip("takes nothing that could be wrong")

    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKED, timeout=60)

    ask()
