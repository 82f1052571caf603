"""The service as a program sees it."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import mien
from mien.explainers import supported
from mien.results.tables import csv_rows
from mien.types import InputError, ModelError
from mien.web.app import create_app
from mien.web.settings import Limits, ServiceSettings
from tests.video import clips
from tests.web.conftest import HOST, JPEG, VIDEO


def code(answer: object) -> tuple[int, str]:
    status = answer.status_code  # type: ignore[attr-defined]
    body = answer.json()  # type: ignore[attr-defined]
    assert set(body) == {"error"}
    assert body["error"]["message"]
    return status, body["error"]["code"]


def ask(
    client: TestClient,
    body: object,
    path: str = "/v1/explain",
    kind: str = "image/jpeg",
    **how: Any,
) -> httpx.Response:
    """The answer to a body, with a query."""
    headers = {"content-type": kind} if kind else {}
    send: Any = client.post  # the body is bytes, or an iterator of them
    answer: httpx.Response = send(path, params=how, content=body, headers=headers)
    return answer


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_answers_are_those_of_the_python_interface(client: TestClient, photo: bytes) -> None:
    answer = ask(client, photo, "/v1/predict")
    assert answer.status_code == 200
    own = mien.load().predict(photo)[0]
    face = answer.json()["faces"][0]
    assert face["dominant_emotion"] == "happy"
    assert face["box"] == [round(v, 2) for v in own.box or ()]
    assert face["emotions"] == pytest.approx(own.emotions, abs=1e-4)
    assert math.isclose(sum(face["emotions"].values()), 1, abs_tol=1e-6)
    assert answer.json()["image"] == {"name": "image", "width": 512, "height": 512}


def test_a_form_gives_the_same_answer_and_its_name(client: TestClient, photo: bytes) -> None:
    form = client.post("/v1/predict", files={"file": ("a/b/me.jpg", photo)})
    plain = ask(client, photo, "/v1/predict")
    assert form.json()["image"]["name"] == "me.jpg"
    assert form.json()["faces"][0]["emotions"] == plain.json()["faces"][0]["emotions"]
    assert code(client.post("/v1/predict", files={"other": b"x"})) == (422, "no_file")
    assert code(client.post("/v1/predict", data={"file": "text"}, files={"x": b"y"})) == (
        422,
        "no_file",
    )


def test_a_parameter_in_the_form_is_refused_instead_of_ignored(
    client: TestClient, photo: bytes
) -> None:
    form = client.post("/v1/explain", data={"method": "gradcam"}, files={"file": photo})
    assert code(form) == (422, "unknown_name")
    assert "?method=gradcam" in form.json()["error"]["message"]


def test_a_turned_photo_is_measured_upright(client: TestClient) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(buffer, "JPEG", exif=exif)
    answer = client.post("/v1/predict", content=buffer.getvalue(), headers=JPEG).json()
    assert (answer["image"]["width"], answer["image"]["height"]) == (40, 60)
    assert answer["faces"] == []


def test_an_explanation_is_that_of_the_python_interface(client: TestClient, photo: bytes) -> None:
    how = {"target": "fear", "against": "happy", "baseline": "black", "view": "true"}
    answer = ask(client, photo, **how)
    own = mien.load().explain(photo, target="fear", against="happy", baseline="black")[0]
    found = answer.json()["explanations"][0]
    assert found["regions"] == pytest.approx(own.regions, abs=1e-4)
    assert found["sentence"] == own.sentence
    view = found["view"]
    assert np.array(view["labels"]).shape == own.labels.shape
    assert view["limit"] == pytest.approx(max(map(abs, own.regions.values())), abs=1e-4)
    assert view["crop"].startswith("data:image/png;base64,")
    assert "view" not in ask(client, photo, method="cam").json()["explanations"][0]


def test_every_method_of_the_model_is_listed_and_works(client: TestClient, photo: bytes) -> None:
    listed = client.get("/v1/models").json()
    names = [method["name"] for method in listed["methods"]]
    assert names == supported(mien.load().model)
    assert listed["models"][0]["card"]["intended_use"]
    for method in listed["methods"]:
        assert method["summary"]
        options = {option["name"] for option in method["options"]}
        if options & {"samples", "evaluations"} and method["name"] != "rise":
            continue  # they load torch and are slow; their own tests run them
        few = ["samples=80"] if method["name"] == "rise" else []
        answer = ask(client, photo, method=method["name"], option=few)
        assert answer.status_code == 200, (method["name"], answer.text)
        assert answer.json()["explanations"][0]["method"] == method["name"]


def test_options_reach_the_method(client: TestClient, photo: bytes) -> None:
    how: dict[str, Any] = {"method": "dncshap", "option": ["levels=2", "contexts=owen"]}
    found = ask(client, photo, **how).json()["explanations"][0]
    assert (found["options"]["levels"], found["options"]["contexts"]) == (2, "owen")
    assert found["players"] == 4


def test_pictures_and_tables_are_given_as_files(client: TestClient, photo: bytes) -> None:
    starts = {"png": b"\x89PNG", "svg": b"<svg ", "pdf": b"%PDF"}
    for kind, start in starts.items():
        answer = ask(client, photo, method="cam", format=kind, scale="2")
        assert kind in answer.headers["content-type"]
        assert answer.content.startswith(start)
        if kind == "png":
            assert Image.open(io.BytesIO(answer.content)).width > 2000
    regions = ask(client, photo, method="cam", format="csv")
    assert regions.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(regions.text.splitlines())
    assert (row["target"], row["method"], float(row["mouth"]) > 0) == ("happy", "cam", True)
    table = client.post("/v1/predict?format=csv", files={"file": ("=1+1.jpg", photo)})
    _, cells = csv_rows(table.text.splitlines(keepends=True))
    assert cells[0] == "=1+1.jpg"
    assert "happy" in cells


def test_the_detector_and_the_prior_can_be_chosen(client: TestClient, photo: bytes) -> None:
    listed = client.get("/v1/models").json()
    assert {"haar", "none"} <= {one["name"] for one in listed["detectors"]}
    assert listed["priors"][0] == {"name": "even", "title": "each expression alike"}
    path = "/v1/predict?detector=haar&prior=fer2013"
    (face,) = client.post(path, content=photo, headers=JPEG).json()["faces"]
    own = mien.load(detector="haar", prior="fer2013").predict(photo)[0]
    assert face["detector"] == "haar"
    assert face["emotions"] == pytest.approx(own.emotions, abs=1e-4)
    found = ask(client, photo, method="cam", detector="none", prior="fer2013").json()
    assert found["explanations"][0]["prediction"]["box"] == [0, 0, 512, 512]
    assert found["explanations"][0]["prior"]["disgust"] == pytest.approx(0.015, abs=1e-3)
    for wrong in ("detector=har", "prior=happy=1"):
        sent = client.post(f"/v1/predict?{wrong}", content=photo, headers=JPEG)
        assert code(sent) == (422, "unknown_name")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"method": "nothing"}, "unknown_name"),
        ({"target": "hungry"}, "unknown_name"),
        ({"against": "happy"}, "invalid"),
        ({"face": "7"}, "invalid"),
        ({"face": "-1"}, "invalid"),
        ({"face": "one"}, "invalid"),
        ({"format": "gif"}, "invalid"),
        ({"method": "cam", "baseline": "black"}, "invalid"),
        ({"method": "dncshap", "option": "levels"}, "invalid"),
        ({"method": "dncshap", "option": "levels=12"}, "invalid"),
        ({"method": "dncshap", "option": "levels=x"}, "invalid"),
        ({"method": "dncshap", "option": "level=2"}, "unknown_name"),
        ({"methods": "cam"}, "unknown_name"),
    ],
)
def test_a_wrong_question_is_422(
    client: TestClient, photo: bytes, how: dict[str, str], expected: str
) -> None:
    assert code(ask(client, photo, **how)) == (
        422,
        expected,
    )


def test_predict_has_no_other_parameters(client: TestClient, photo: bytes) -> None:
    sent = client.post("/v1/predict?face=0", content=photo, headers={"Content-Type": "image/jpeg"})
    assert code(sent) == (422, "unknown_name")
    assert (
        "unknown parameter 'face'; known: format, detector, prior"
        in sent.json()["error"]["message"]
    )


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
def test_what_is_no_image_is_refused(client: TestClient, photo: bytes, path: str) -> None:
    assert code(ask(client, b"", path)) == (422, "empty")
    assert code(ask(client, b"GIF89a nothing", path)) == (422, "not_an_image")
    assert code(ask(client, b"%!PS-Adobe-3.0 EPSF-3.0\n", path)) == (
        422,
        "not_an_image",
    )
    half = ask(client, photo[: len(photo) // 2], path)
    assert half.status_code in (200, 422)  # Pillow may fill what is missing
    assert code(ask(client, photo, path, "text/html")) == (
        415,
        "wrong_type",
    )
    assert code(ask(client, photo, path, "")) == (415, "wrong_type")
    assert code(ask(client, b"x", path, "multipart/form-data")) == (422, "no_file")


def test_a_photo_without_a_face_is_an_empty_list_and_cannot_be_explained(
    client: TestClient,
) -> None:
    grey = png(64, 64)
    assert ask(client, grey, "/v1/predict").json()["faces"] == []
    assert code(ask(client, grey)) == (422, "no_face")


def test_bombs_and_large_bodies_are_413(photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(image: Image.Image) -> None:
        raise AssertionError(f"{image.size} was decoded")

    limits = Limits(body=100_000, pixels=1_000_000)
    with TestClient(create_app(ServiceSettings(limits=limits)), base_url=HOST) as client:
        bomb = png(8000, 8000)  # 64 million pixels in 62 kB
        assert len(bomb) < limits.body
        for path in ("/v1/predict", "/v1/explain"):
            with monkeypatch.context() as patch:
                patch.setattr("PIL.ImageFile.ImageFile.load", decode)
                assert code(ask(client, bomb, path)) == (413, "too_many_pixels")
            assert code(ask(client, b"x" * 100_001, path)) == (
                413,
                "too_large",
            )
            pieces = iter([b"x" * 60_000] * 2)  # without a stated length
            assert code(ask(client, pieces, path)) == (413, "too_large")
        assert ask(client, photo, "/v1/predict").status_code == 200


def test_a_file_of_two_formats_is_decoded_as_the_one_that_was_judged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small TIFF whose bytes are the header of a large FLI, too."""
    Image.init()
    monkeypatch.setattr(Image, "ID", sorted(Image.ID))  # whatever was imported before
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 180, 160)).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    offset = int.from_bytes(data[4:8], "little")
    # the directory of tags moves to an address whose low bytes are FLI's magic number
    place = 0x0001AF11
    moved = bytes(data[offset:])
    data[4:8] = place.to_bytes(4, "little")
    data += b"\x00" * (place - len(data)) + moved
    data[8:128] = bytes(120)
    for at, value in {8: 13_300, 10: 13_300, 12: 8, 14: 3}.items():
        data[at : at + 2] = value.to_bytes(2, "little")
    with (
        pytest.warns(Image.DecompressionBombWarning),
        Image.open(io.BytesIO(bytes(data))) as other,
    ):
        assert (other.format, other.size) == ("FLI", (13_300, 13_300))
    for path in ("/v1/predict", "/v1/explain"):
        answer = ask(client, bytes(data), path, "image/tiff")
        if path == "/v1/predict":
            assert answer.status_code == 200
            assert answer.json()["image"]["width"] == 64
        else:
            assert code(answer) == (422, "no_face")


def test_an_explanation_that_takes_too_long_is_stopped(photo: bytes) -> None:
    with TestClient(
        create_app(ServiceSettings(limits=Limits(explain_seconds=1e-6))), base_url=HOST
    ) as client:
        assert code(ask(client, photo)) == (503, "too_slow")


def test_the_token_is_asked_of_v1_and_metrics_only(photo: bytes) -> None:
    with TestClient(create_app(ServiceSettings(token="open sesame")), base_url=HOST) as client:
        for path in ("/v1/models", "/metrics"):
            refused = client.get(path)
            assert code(refused) == (401, "no_token")
            assert refused.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer open", "Basic open sesame", "open sesame", "Bearer \xff"):
            given = {b"content-type": b"image/jpeg", b"authorization": wrong.encode("latin-1")}
            assert code(client.post("/v1/predict", content=photo, headers=given)) == (
                401,
                "no_token",
            )
        right = {**JPEG, "authorization": "Bearer open sesame"}
        assert client.post("/v1/predict", content=photo, headers=right).status_code == 200
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/").status_code == 200
        document = client.get("/openapi.json").json()
        assert document["security"] == [{"token": []}]
        assert document["paths"]["/healthz"]["get"]["security"] == []
        assert "security" not in document["paths"]["/v1/predict"]["post"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:8571.evil.example",
        "127.0.0.1:8571@evil.example",
        "me@127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1/evil.example",
        "",
        "127.0.0.2",
        "[::1",
        "::1",
    ],
)
def test_other_host_names_are_refused(client: TestClient, host: str) -> None:
    assert code(client.get("/v1/models", headers={"host": host})) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["127.0.0.1:8571", "localhost", "LOCALHOST:1", "[::1]:8571"])
def test_names_of_this_machine_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/models", "/examples/sad.jpg", "/metrics"])
def test_head_is_answered_as_get_is_without_the_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert code(client.get("/v1/predict")) == (405, "wrong_method")
    assert client.head("/v1/predict").status_code == 405
    assert client.put("/v1/predict").headers["allow"] == "POST"
    assert client.put("/v1/video/x").headers["allow"] == "DELETE, GET, HEAD"
    assert client.head("/absent").status_code == 404


def test_pages_of_other_sites_may_not_ask(client: TestClient, photo: bytes) -> None:
    for header in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://[::1"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
    ):
        answer = client.post("/v1/predict", content=photo, headers={**JPEG, **header})
        assert code(answer) == (403, "other_origin")
        assert "access-control-allow-origin" not in answer.headers
    same = client.post("/v1/predict", content=photo, headers={**JPEG, "origin": HOST})
    assert same.status_code == 200
    assert "access-control-allow-origin" not in same.headers


def test_every_answer_is_guarded_and_errors_are_json(client: TestClient) -> None:
    for answer in (
        client.get("/"),
        client.get("/v1/models"),
        client.get("/absent"),
        client.get("/v1/predict"),
    ):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert code(client.get("/absent")) == (404, "not_found")
    assert code(client.get("/v1/predict")) == (405, "wrong_method")
    assert code(client.get("/static/../app.py")) == (404, "not_found")


def test_an_unexpected_failure_is_json_and_says_nothing(
    client: TestClient,
    photo: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]

    def fail(_: object) -> bytes:
        raise ZeroDivisionError("secret.jpg")

    monkeypatch.setattr(service.engine, "explain", fail)
    answer = ask(client, photo)
    assert code(answer) == (500, "failed")
    assert "secret" not in answer.text + caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_logs_hold_routes_and_times_only(
    client: TestClient, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client.post("/v1/predict", files={"file": ("private-name.jpg", photo)})
        client.post("/v1/explain?target=fear", content=photo, headers=JPEG)
        client.get("/v1/video/private-id")
    # the client of the tests logs, too
    lines = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("httpx"))
    assert "POST /v1/explain 200" in lines
    for word in ("private", "fear", "happy", "0.9"):
        assert word not in lines


def test_metrics_count_what_was_asked(client: TestClient, photo: bytes) -> None:
    def faces() -> float:
        text = client.get("/metrics").text
        line = next(x for x in text.splitlines() if x.startswith("mien_faces_total"))
        return float(line.split()[1])

    before = faces()
    ask(client, photo, "/v1/predict")
    assert faces() == before + 1
    text = client.get("/metrics").text
    assert 'mien_requests_total{route="/v1/predict",status="200"}' in text
    assert "mien_batch_images_bucket" in text
    assert "mien_accepted 0.0" in text


def test_settings_are_checked() -> None:
    for wrong in (
        {"port": 70_000},
        {"workers": -1},
        {"token": "short"},
        {"token": "with\nline breaks"},
    ):
        with pytest.raises(InputError):
            ServiceSettings(**wrong)
    with pytest.raises(InputError, match="body"):
        Limits(body=0)
    with pytest.raises(ModelError):
        create_app(ServiceSettings(model="absent.onnx"))
    assert "open sesame" not in repr(ServiceSettings(token="open sesame"))
    assert not ServiceSettings(host="0.0.0.0").local


def _job(client: TestClient, film: Path, **how: str) -> str:
    sent = client.post("/v1/video", params=how, content=film.read_bytes(), headers=VIDEO)
    assert sent.status_code == 202, sent.text
    assert sent.headers["location"] == f"/v1/video/{sent.json()['id']}"
    return str(sent.json()["id"])


def _wait(client: TestClient, key: str) -> dict[str, object]:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        now = client.get(f"/v1/video/{key}").json()
        if now["state"] not in ("waiting", "working"):
            return dict(now)
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def test_a_video_is_a_job_whose_upload_is_deleted(client: TestClient, film: Path) -> None:
    key = _job(client, film, every="2", overlay="cam")
    assert client.get(f"/v1/video/{key}/result").status_code in (200, 409)
    assert _wait(client, key) == {
        "id": key,
        "state": "done",
        "progress": 1.0,
        "frames": 24,
        "of": 24,
        "error": None,
    }
    result = client.get(f"/v1/video/{key}/result").json()
    assert result["looked_at"] == 12
    assert len(result["faces"]) == 2
    moments = {(m["face_id"], m["emotion"]) for m in result["moments"]}
    assert {number for number, _ in moments} == {0, 1}
    assert (0, "happy") in moments or (1, "happy") in moments
    assert all(m["picture"].startswith("data:image/png") for m in result["moments"])
    curve = result["curves"][0]
    assert len(curve["times"]) == len(curve["values"]) == 12
    assert all(abs(sum(row) - 1) < 0.01 for row in curve["values"])
    assert "/" not in result["input"]
    clip = client.get(f"/v1/video/{key}/clip.mp4")
    assert clip.headers["content-type"] == "video/mp4"
    assert clip.content[4:8] == b"ftyp"
    part = client.get(f"/v1/video/{key}/clip.mp4", headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    table = client.get(f"/v1/video/{key}/table.csv").text
    assert table.startswith("input,frame,")
    assert {line.partition(",")[0] for line in table.splitlines()[1:]} == {"clip"}
    folder = client.app.state.jobs.get(key).folder  # type: ignore[attr-defined]
    assert folder.stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in folder.iterdir()) == ["clip.mp4", "table.csv"]
    assert client.delete(f"/v1/video/{key}").status_code == 200
    assert not folder.exists()
    assert code(client.get(f"/v1/video/{key}")) == (404, "not_found")


def test_a_clip_that_breaks_off_is_told_without_the_server_s_paths(
    client: TestClient, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "cut.mkv", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    key = _job(client, path, fps="2")
    _wait(client, key)
    result = client.get(f"/v1/video/{key}/result").json()
    assert result["problem"].startswith("its header says 5.0 s")
    assert result["options"]["fps"] == 2
    assert result["looked_at"] < result["frames"] / 3


def test_a_video_is_not_worked_on_other_than_asked(client: TestClient, film: Path) -> None:
    for wrong, expected in (
        ({"rate": "2"}, "unknown_name"),
        ({"fps": "2", "every": "2"}, "invalid"),
        ({"fps": "0"}, "invalid"),
        ({"overlay": "rise"}, "unknown_name"),  # too slow for a video
        ({"overlay": "gradcam"}, "invalid"),  # not of this model
        ({"detector": "har"}, "unknown_name"),
    ):
        sent = client.post("/v1/video", params=wrong, content=film.read_bytes(), headers=VIDEO)
        assert code(sent) == (422, expected)


def test_a_cancelled_video_leaves_nothing(client: TestClient, film: Path) -> None:
    key = _job(client, film)
    job = client.app.state.jobs.get(key)  # type: ignore[attr-defined]
    assert client.delete(f"/v1/video/{key}").status_code == 200
    ends = time.monotonic() + 30
    while job.folder.exists():
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert code(client.get(f"/v1/video/{key}")) == (404, "not_found")


def test_what_is_no_video_is_refused_and_not_kept(client: TestClient, photo: bytes) -> None:
    jobs = client.app.state.jobs  # type: ignore[attr-defined]
    before = set(jobs.jobs)
    lists = (
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x1a\x45\xdf\xa3 <MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>",
    )
    for body in (b"", photo, b"....ftypisom" + b"x" * 500, *lists):
        assert code(ask(client, body, "/v1/video", "video/mp4")) == (422, "not_a_video")
    assert code(ask(client, b"x", "/v1/video", "image/jpeg")) == (415, "wrong_type")
    assert set(jobs.jobs) == before


def test_videos_have_limits_of_their_own(film: Path) -> None:
    data = film.read_bytes()
    for limits, expected in (
        (Limits(video_seconds=1), (413, "too_long")),
        (Limits(video_pixels=1000), (413, "too_many_pixels")),
        (Limits(video_body=1000), (413, "too_large")),
    ):
        with TestClient(create_app(ServiceSettings(limits=limits)), base_url=HOST) as client:
            assert code(ask(client, data, "/v1/video", "video/mp4")) == expected
    with TestClient(
        create_app(ServiceSettings(limits=Limits(video_waiting=1))), base_url=HOST
    ) as client:
        _job(client, film)
        assert code(ask(client, data, "/v1/video", "video/mp4")) == (503, "busy")


def test_frames_that_grow_in_the_middle_of_a_clip_are_not_decoded(tmp_path: Path) -> None:
    """A header that says 320 x 240, and frames of 1,600 x 1,200 behind the first ones."""
    path = tmp_path / "grows.ts"
    parts = []
    for name, (width, height) in {"a.ts": (320, 240), "b.ts": (1600, 1200)}.items():
        images = [np.full((height, width, 3), 90, np.uint8)] * 12
        parts.append(clips.write(tmp_path / name, images=images).read_bytes())
    path.write_bytes(b"".join(parts))
    limits = Limits(video_pixels=1_000_000)
    with TestClient(create_app(ServiceSettings(limits=limits)), base_url=HOST) as client:
        found = _wait(client, _job(client, path))
        assert found["state"] == "failed"
        assert "at most 1 million pixels, got 1600 x 1200 at frame" in str(found["error"])


def test_finished_videos_are_forgotten_and_the_folder_goes_with_the_server(film: Path) -> None:
    with TestClient(
        create_app(ServiceSettings(limits=Limits(video_kept=0.2))), base_url=HOST
    ) as client:
        key = _job(client, film)
        home = client.app.state.jobs.get(key).folder.parent  # type: ignore[attr-defined]
        _wait(client, key)
        time.sleep(0.3)
        assert code(client.get(f"/v1/video/{key}")) == (404, "not_found")
        assert home.is_dir()
    assert not home.exists()


def test_openapi_names_what_this_server_knows(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    parameters = {p["name"]: p for p in found["paths"]["/v1/explain"]["post"]["parameters"]}
    assert "regions" in parameters["method"]["schema"]["enum"]
    assert "happy" in parameters["target"]["schema"]["enum"]
    assert json.dumps(found).count('"examples"') > 20
    for path in ("/v1/predict", "/v1/video"):
        assert {"408", "413", "415", "429", "503"} <= set(found["paths"][path]["post"]["responses"])
