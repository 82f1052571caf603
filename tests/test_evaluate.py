"""mien.runs.evaluate, mien.runs.report and mien.runs.read: from probabilities to a page."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.metrics import mcnemar, precision, top_k
from mien.runs.evaluate import Report, compare, evaluate
from mien.runs.read import read_history, read_run, read_scores
from mien.runs.recipe import About, Data, Network, Recipe
from mien.runs.report import ExplainedAnswer, Points, headline, html, markdown, write_report
from mien.types import InputError

LABELS = ("angry", "happy", "sad")
RECIPE = Recipe(
    About("A test <of> it", "Nobody 2020", table="Table 1", expected=0.62),
    Data(("fer2013",), labels=LABELS),
    Network("gimefive-15"),
)


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """300 labels and probabilities that are right about two times in three."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    logits = rng.normal(size=(300, 3))
    logits[np.arange(300), truth] += 1.2
    odds = np.exp(logits)
    return truth, odds / odds.sum(axis=1, keepdims=True)


@pytest.fixture
def report(answers: tuple[np.ndarray, np.ndarray]) -> Report:
    return evaluate(*answers, LABELS)


def test_the_scores_agree_with_sums_over_the_confusion(
    answers: tuple[np.ndarray, np.ndarray], report: Report
) -> None:
    counts = np.array(report.confusion)
    assert counts.sum() == 300
    assert report.accuracy.value == pytest.approx(np.trace(counts) / 300)
    assert report.accuracy.low < report.accuracy.value < report.accuracy.high
    assert report.weighted_recall == pytest.approx(report.accuracy.value)
    recalls = np.diag(counts) / counts.sum(axis=1)
    precisions = np.diag(counts) / counts.sum(axis=0)
    assert report.macro_recall == pytest.approx(recalls.mean())
    assert report.macro_precision == pytest.approx(precisions.mean())
    f1 = 2 * recalls * precisions / (recalls + precisions)
    assert report.macro_f1 == pytest.approx(f1.mean())
    assert [c.f1 for c in report.classes] == pytest.approx(f1.tolist())
    truth, p = answers
    assert report.top2 == pytest.approx(top_k(truth, p, 2))
    assert report.top2 > report.accuracy.value
    assert sum(images for _, _, images in report.reliability) == 300


def test_a_class_without_images_or_answers_does_not_spoil_the_means() -> None:
    p = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    report = evaluate(np.array([0, 1]), p, LABELS)
    assert np.isnan(report.classes[2].recall)
    assert np.isnan(report.classes[1].precision)
    assert report.macro_recall == pytest.approx(0.5)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["classes"][2]["recall"] is None
    assert np.isnan(precision(np.array([0]), np.array([0]), 2)[1])


def test_groups_have_their_own_intervals_and_small_ones_a_warning(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    groups = ["a"] * 280 + ["b"] * 10 + [None] * 10
    report = evaluate(*answers, LABELS, groups=groups)
    assert report.groups["a"].images == 280
    assert report.groups["b"].images == 10
    assert any("group b: 10 images" in text for text in report.warnings)


def test_what_cannot_be_evaluated_is_refused(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, p = answers
    with pytest.raises(InputError, match=r"\[300, 2\]"):
        evaluate(truth, p, LABELS[:2])
    with pytest.raises(InputError, match="diverged"):
        evaluate(truth, p * np.nan, LABELS)


def test_mcnemar_counts_where_the_two_differ() -> None:
    truth = np.zeros(100, int)
    first = np.r_[np.zeros(80, int), np.ones(20, int)]
    second = np.r_[np.zeros(70, int), np.ones(10, int), np.zeros(5, int), np.ones(15, int)]
    assert mcnemar(truth, first, second)[:2] == (10, 5)
    result = compare(truth, first, second)
    assert (result.first, result.second) == (0.8, 0.75)
    assert 0.2 < result.p_value < 0.5
    assert compare(truth, first, first).p_value == 1.0


def test_the_headline_puts_the_printed_number_beside_the_interval(report: Report) -> None:
    accuracy = report.accuracy
    for expected, word in (
        (accuracy.high + 0.1, "above"),
        (accuracy.low - 0.1, "below"),
        (accuracy.value, "within"),
    ):
        text = headline(RECIPE.change(about={"expected": expected}), report)
        assert f"{accuracy.value:.1%}" in text
        assert f"{word} our interval" in text
    unknown = replace(RECIPE, about=replace(RECIPE.about, expected=None))
    assert "gives no number" in headline(unknown, report)
    ours = unknown.change(about={"paper": "ours; it repeats no paper"})
    assert headline(ours, report).endswith("protocol")


def test_markdown_holds_every_number_and_html_escapes_and_holds_its_pictures(
    report: Report,
) -> None:
    facts = {"parameters": 10_478_086, "seconds": 12.5, "images": {"train": 3}}
    text = markdown(RECIPE, report, facts)
    for part in (str(report.accuracy), "10,478,086", "| happy |", "Nobody 2020"):
        assert part in text
    history = [
        {"epoch": str(i), "train_loss": "1", "val_loss": "2", "val_accuracy": ".5"} for i in (1, 2)
    ]
    page = html(RECIPE, report, facts, history)
    assert "<h1>A test &lt;of&gt; it</h1>" in page
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page


POINTS = Points(
    LABELS, ("a/1.png", "b/</script><b>.png"), np.array([0, 1]), np.array([0, 2]),
    np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]), whole=7,
)  # fmt: skip


def test_points_are_in_the_page_whole_and_no_name_breaks_out_of_their_script(
    report: Report,
) -> None:
    page = html(RECIPE, report, {}, [], points=POINTS)
    found = re.findall(r'<script type="application/json" id="points">(.*?)</script>', page)
    assert len(found) == 1
    data = json.loads(found[0])
    assert data["names"] == list(POINTS.names)
    assert data["truth"] == [0, 1]
    assert data["deep"] == POINTS.deep.tolist()
    assert "2 of 7 test images" in page
    assert page.count("data:image/png;base64,") == 3
    for outside in ("http", 'src="/', "@import", "url("):
        assert outside not in page.replace("data:image/png", "")


def test_examples_say_what_was_right_and_escape_their_names(report: Report) -> None:
    image = "data:image/png;base64,AA"
    shown = [
        ExplainedAnswer("happy", "happy", "a.png", image, "happy, 0.9: the mouth"),
        ExplainedAnswer("sad", "happy", "<b>.png", image, "happy, 0.6: the <eyes>"),
    ]
    page = html(RECIPE, report, {}, [], examples=shown)
    assert "<b>happy</b>, correct" in page
    assert "<b>sad</b>, answered happy" in page
    assert "&lt;b&gt;.png" in page
    assert "the <eyes>" not in page
    assert "<h2>Examples</h2>" not in html(RECIPE, report, {}, [])


def test_the_curves_of_folds_are_drawn_apart(report: Report) -> None:
    rows = [
        {"training": name, "epoch": str(i), "train_loss": "1", "val_loss": "", "val_accuracy": ".5"}
        for name in ("fold-0", "fold-1")
        for i in (1, 2)
    ]
    page = html(RECIPE, report, {}, rows)
    assert "<h2>Learning curves</h2>" in page


def test_a_run_is_written_and_read_back(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path, RECIPE, report, {"model": "m"}, [])
    found = read_run(tmp_path)
    assert found["test"]["accuracy"]["value"] == report.accuracy.value
    assert found == json.loads((tmp_path / "report.json").read_text())
    with (tmp_path / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["filepath", "label", *LABELS], ["a.png", "sad", 0.1, 0.7, 0.2]])
    scores = read_scores(tmp_path)
    assert scores.truth.tolist() == [2]
    assert scores.answer.tolist() == [1]
    with pytest.raises(InputError, match="finished run"):
        read_run(tmp_path / "absent")
    with pytest.raises(InputError, match="finished run"):
        read_scores(tmp_path / "absent")
    assert read_history(tmp_path / "absent.csv") == []
