"""mien video and mien webcam, as commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import mien
from mien import video
from mien.commands.main import main
from mien.commands.video import seconds
from mien.commands.webcam import webcam
from mien.extras import install
from mien.types import InputError
from mien.video.camera import Camera, Window
from mien.video.frames import VideoOptions
from mien.video.live import Meter, run
from mien.video.reader import read_frames
from tests.test_cli import one_line
from tests.video import clips

Run = Callable[..., "CompletedProcess[str]"]


MAIN = "from mien.commands.main import main; main()"


def command(*args: str, cwd: Path) -> CompletedProcess[str]:
    """The command in a process with every extra."""
    env = {k: v for k, v in os.environ.items() if k != "DISPLAY"} | {"COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-c", MAIN, *args],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
        env=env,
    )


def test_a_clip_is_annotated_tabled_and_summed_up(clip: Path, tmp_path: Path) -> None:
    done = command(
        "video",
        str(clip),
        "-o",
        "out [1].mp4",
        "--timeline",
        "rows.csv",
        "--summary",
        "sum",
        "--fps",
        "4",
        "--smoothing",
        "off",
        "--overlay",
        "regions",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for said in ("face", "happy", "out [1].mp4", "rows.csv", "timeline.png", "not smoothed"):
        assert said in done.stdout
    assert "8 of 24 frames looked at" in done.stdout
    assert len(list(read_frames(tmp_path / "out [1].mp4"))) == 24
    assert sorted(p.name for p in (tmp_path / "sum").iterdir()) == [
        "peaks.png",
        "summary.json",
        "timeline.png",
    ]


def test_a_damaged_clip_is_exit_code_1_and_its_results_are_there(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mkv", 24)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = command("video", str(path), "--timeline", "rows.csv", "--every", "3", cwd=tmp_path)
    assert done.returncode == 1
    assert "may be cut off" in one_line(done)
    assert f"of {len(list(read_frames(path)))} frames" in done.stdout
    assert (tmp_path / "rows.csv").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("video", "absent.mp4"), "no such file"),
        (("video", "{clip}", "--smoothing", "much"), "expected seconds or off"),
        (("video", "{clip}", "--overlay", "cam"), "give it an --output"),
        (("video", "{clip}", "--landmarks"), "give it an --output"),
        (("video", "{clip}", "--every", "0"), "every"),
        (("video", "{clip}", "-o", "a.gif"), ".mp4"),
        (("video", "{clip}", "--fps", "inf"), "fps"),
        (("video", "{clip}", "--summary", "{clip}"), "expected a folder to write into"),
        (("webcam", "--record", "a.mp4"), "no display"),
        (("webcam", "--text", "--source", "{clip}", "--record", "{clip}"), "is the clip itself"),
        (("webcam", "--text", "--source", "absent.mp4"), "no such file"),
    ],
)
def test_a_wrong_call_is_one_line(
    clip: Path,
    tmp_path: Path,
    args: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr("sys.argv", ["mien", *(a.format(clip=clip) for a in args)])
    monkeypatch.setattr("warnings.showwarning", None)  # put back: main sets it for the process
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert words in said
    assert len(said.strip().splitlines()) == 1, said
    assert not list(tmp_path.iterdir())


def test_the_base_install_says_what_to_install(run: Run, clip: Path) -> None:
    done = run("video", str(clip))
    assert done.returncode == 2
    assert install("video") in one_line(done)


@pytest.mark.parametrize("signals", [["TERM"], ["INT", "INT", "INT"]], ids="+".join)
def test_a_stopped_clip_keeps_what_is_done_and_leaves_no_parts(
    tmp_path: Path, signals: list[str]
) -> None:
    """However it is asked to end, and however often."""
    path = clips.write(tmp_path / "long.mp4", images=list(clips.frames(12)) * 40)
    command_line = [
        sys.executable,
        "-c",
        "from mien.commands.main import main; main()",
        *("video", str(path), "-o", "o.mp4", "--timeline", "t.csv"),
    ]
    work = subprocess.Popen(
        command_line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    part = tmp_path / "o.mp4.part"
    ends = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 0):
        assert time.monotonic() < ends
        time.sleep(0.05)
    for name in signals:
        work.send_signal(getattr(signal, f"SIG{name}"))
        time.sleep(0.1)
    out, err = work.communicate(timeout=60)
    assert work.returncode == 130, err
    assert "stopped after" in err
    done = int(err.split("stopped after ")[1].split()[0])
    assert 0 < done < 480
    assert len(list(read_frames(tmp_path / "o.mp4"))) == done
    assert "o.mp4" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.mp4", "o.mp4", "t.csv"]


def test_work_that_is_stopped_before_its_first_frame_writes_and_claims_nothing(
    looker: mien.Recognizer, clip: Path, tmp_path: Path
) -> None:
    cancel = threading.Event()
    cancel.set()
    result = video.analyse(
        clip,
        recognizer=looker,
        output=tmp_path / "o.mp4",
        timeline=tmp_path / "t.csv",
        cancel=cancel,
    )
    assert (result.stopped, result.frames, result.written) == (True, 0, ())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line_that_names_the_file(clip: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses in the same way."""
    program = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from mien.commands.main import main; main()"
    )
    for arguments in (("-o", "o.mp4"), ("--timeline", "t.csv")):
        done = subprocess.run(
            [sys.executable, "-c", program, "video", str(clip), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert f"{arguments[1]}: cannot be written (File too large)" in one_line(done)
        assert not list(tmp_path.iterdir())


def test_smoothing_is_seconds_or_off() -> None:
    assert [seconds("off"), seconds("1.5")] == [0, 1.5]


def test_the_webcam_prints_rows_without_a_window_and_writes_nothing(
    clip: Path, tmp_path: Path
) -> None:
    done = command("webcam", "--text", "--source", str(clip), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["face_id"] for row in rows} >= {0}
    assert all(row["latency_ms"] > 0 for row in rows)
    assert "from picture to answer" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_webcam_that_is_ended_keeps_what_it_recorded(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "long.mp4", images=list(clips.frames(12)) * 30)
    program = "from mien.commands.main import main; main()"
    asked = ("webcam", "--text", "--source", str(path), "--record", "r.mp4", "--timeline", "t.csv")
    work = subprocess.Popen(
        [sys.executable, "-c", program, *asked],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert work.stdout is not None
    assert work.stdout.readline().startswith("{")
    work.send_signal(signal.SIGTERM)
    _, err = work.communicate(timeout=60)
    assert work.returncode == 0, err
    assert 0 < len(list(read_frames(tmp_path / "r.mp4"))) < 360
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.mp4", "r.mp4", "t.csv"]


def test_a_slow_reader_gets_the_newest_picture(clip: Path) -> None:
    numbers, missed = [], 0
    with Camera(str(clip)) as camera:
        for live in camera:
            numbers.append(live.frame.number)
            missed += live.missed
            time.sleep(0.25)
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 16
    assert len(numbers) + missed == 24
    assert numbers[-1] == 23


def test_live_pictures_are_written_only_where_asked(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "long.mp4", images=list(clips.frames(12)) * 20)
    meter = Meter()
    with Camera(str(path)) as camera:
        answers = run(
            camera,
            looker,
            VideoOptions(batch=1),
            meter,
            record=tmp_path / "r.mp4",
            timeline=tmp_path / "t.csv",
        )
        shown = [next(answers) for _ in range(4)]
        answers.close()  # as if the window were closed
    assert all(s.image is not None and s.latency > 0 for s in shown)
    assert meter.count == 4
    assert meter.median > 0
    assert len(list(read_frames(tmp_path / "r.mp4"))) == 4
    assert (tmp_path / "t.csv").read_text().count("\n") >= 5


def test_a_camera_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match="camera 99"):
        Camera(99)


def test_without_a_display_the_page_takes_the_windows_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("mien.video.camera.has_display", lambda: False)
    monkeypatch.setattr("mien.commands.serve.serve", lambda **options: asked.append(options))
    webcam(detector="haar", contempt=True)
    plain = {"model": "mien", "head": None, "prior": None}
    assert asked == [{**plain, "contempt": True, "detector": "haar"}]
    assert "Camera" in "".join(capsys.readouterr())


def test_a_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems have no DISPLAY")
    with pytest.raises(InputError, match="mien serve"):
        Window("a")
