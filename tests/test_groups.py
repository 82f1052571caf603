from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mien
from mien.resampling import bootstrap_means, cliffs_delta, holm, interval, permutation_test
from mien.results.comparison import compare_groups
from mien.types import InputError
from mien.vision.regions import REGIONS
from tests.video.test_commands import command as full

Run = Callable[..., "CompletedProcess[str]"]


def test_permutation_tests_are_those_of_scipy_and_keep_their_level() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 3)), rng.normal(0.8, 2, size=(6, 3))

    def welch(a: object, b: object, axis: int) -> object:
        return np.abs(stats.ttest_ind(a, b, equal_var=False, axis=axis).statistic)

    theirs = stats.permutation_test(
        (first, second), welch, alternative="greater", vectorized=True, n_resamples=np.inf
    )
    ours = permutation_test(first, second)
    assert ours.exact
    assert ours.assignments == 462
    np.testing.assert_allclose(ours.p, theirs.pvalue)
    sampled = permutation_test(first, second, draws=400)
    assert not sampled.exact
    np.testing.assert_allclose(sampled.p, ours.p, atol=0.08)
    # no difference: at most one family in twenty says that there is one
    wrong = 0
    for seed in range(120):
        a, b = rng.dirichlet(np.ones(7), 9), rng.dirichlet(np.ones(7), 14)
        wrong += holm(permutation_test(a, b, draws=199, seed=seed).p).min() < 0.05
    assert wrong <= 12  # 6 are expected; 13 or more have a chance below 1 %


@pytest.mark.parametrize("units", [5, 20])
def test_nineteen_of_twenty_intervals_hold_the_mean(units: int) -> None:
    rng = np.random.default_rng(units)
    values = rng.normal(size=(units, 400))  # 400 experiments, in columns
    low, high = interval(bootstrap_means(values, draws=999, rng=rng), 0.95, units, units - 1)
    assert 0.89 < np.mean((low <= 0) & (high >= 0)) < 0.985


FEW = {"a": (0.1, 0.11, 0.12), "b": (0.8, 0.82, 0.85, 0.9)}


def test_clusters_stay_together_and_people_in_both_groups_are_paired() -> None:
    rng = np.random.default_rng(3)
    people = [f"p{i}" for i in range(12)]
    own = {p: rng.normal(0.5, 0.1) + 0.1 * (i % 2) for i, p in enumerate(people)}
    frames = [
        {"who": p, "group": "ab"[i % 2], "frame": f, "face_id": 0, "happy": own[p]}
        for i, p in enumerate(people)
        for f in range(30)
    ]
    alone = compare_groups(frames, by="group")
    assert alone.units == {"a": 180, "b": 180}
    assert "not independent" in alone.warnings[0]
    whole = compare_groups(pd.DataFrame(frames), by="group", cluster="who")
    assert whole.units == {"a": 6, "b": 6}
    assert whole.rows == {"a": 180, "b": 180}
    assert not whole.paired
    assert whole.tests[0].p > 10 * alone.tests[0].p
    few = [{"group": g, "happy": v} for g, values in FEW.items() for v in values]
    apart = compare_groups(few, by="group")
    assert (apart.tests[0].p, apart.exact) == (1 / 35, True)  # its mirror image is no assignment
    assert not [said for said in apart.warnings if "no difference can hold" in said]
    fewer = compare_groups([row for row in few if row["happy"] != 0.9], by="group")
    assert "the smallest p-value is 0.1," in fewer.warnings[0]
    # the same people before and after, but for one who came once
    visits = [{**f, "group": "before", "frame": None} for f in frames]
    visits += [
        {**v, "group": "after", "happy": own[str(v["who"])] + 0.02 + rng.normal(0, 0.005)}
        for v in visits
        if v["who"] != "p3"
    ]
    both = compare_groups(visits, by="group", cluster="who")
    assert both.paired
    assert both.units == {"before": 11, "after": 11}
    assert both.excluded == {"of clusters that lack a group": 30}
    assert both.tests[0].difference == pytest.approx(0.02, abs=0.002)
    assert (both.tests[0].p, both.exact) == (2 / 2**11, True)


def test_what_is_compared_comes_from_any_table_and_what_is_left_out_is_counted(
    tmp_path: Path,
) -> None:
    def rows(p: float, **more: object) -> list[dict[str, object]]:
        return [
            {"input": f"{i}.jpg", "face_id": 0, "happy": p + 0.01 * i, "sad": 1 - p, **more}
            for i in range(6)
        ]

    bad = {"input": "x", "face_id": None}, {"input": "y", "face_id": 0, "error": "damaged"}
    found = compare_groups({"low": [*rows(0.2), *bad], "high": pd.DataFrame(rows(0.6))})
    assert found.excluded == {"without a face": 1, "with an error": 1}
    happy, sad = found.tests
    assert happy.difference == pytest.approx(0.4)
    assert (happy.cliffs_delta, sad.hedges_g) == (1.0, None)  # nothing varies in sad
    assert happy.p == pytest.approx(2 / 924)
    answers = mien.Predictions(
        tuple(
            mien.Prediction(f"{f}/{i}.jpg", 0, emotions={"happy": 0.1 * i, "sad": 0.2})
            for f in "ab"
            for i in range(4)
        ),
        ("happy", "sad"),
    )
    assert compare_groups(answers, by="folder").groups == ("a", "b")
    answers[:4].save(tmp_path / "one.json")
    answers[4:].save(tmp_path / "two.csv")
    files = compare_groups([tmp_path / "one.json", tmp_path / "two.csv"])
    assert files.groups == ("one", "two")
    assert {test.p_holm for test in files.tests} == {1.0}
    regions = [
        {**r, "method": m, **dict.fromkeys(REGIONS, i * 0.1)}
        for m in ("regions", "cam")
        for i, r in enumerate(rows(0.3))
    ]
    for row in regions:
        row["group"] = int(str(row["input"])[0]) % 2
    with pytest.raises(mien.InputError, match=r"regions of one method, got cam, regions"):
        compare_groups(regions, by="group")
    chosen = compare_groups(regions, by="group", where={"method": "cam"}, columns=("mouth",))
    assert [(t.column, t.kind) for t in chosen.tests] == [("mouth", "region")]
    assert chosen.excluded == {"with another method than cam": 6}
    for by, words in (("sex", "it has input"), (None, "expected by=")):
        with pytest.raises(mien.MienError, match=words):
            compare_groups(regions, by=by)
    with pytest.raises(TypeError, match="got int"):
        compare_groups(7, by="group")


def test_the_command_compares_draws_and_writes(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(1)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["input", "face_id", "happy", "sad", "group", "error"])
        for i in range(40):
            p = rng.uniform(0.1, 0.5) + 0.3 * (i % 2)
            sheet.writerow([f"{i}.jpg", 0, p, rng.uniform(0, 0.2), "ab"[i % 2], ""])
        sheet.writerow(["bad.jpg", "", "", "", "a", "damaged"])
    call = ("compare-groups", "rows.csv", "--by", "group")
    done = full(*call, "-o", "out.json", "--figure", "means.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("happy is higher in b (0.")
    assert "a: 20 units; b: 20 units. Left out: 1 with an error." in done.stdout
    assert "Holm" in done.stdout
    saved = json.loads((tmp_path / "out.json").read_text())
    assert [t["p_holm"] < 0.05 for t in saved["tests"]] == [True, False]
    assert "<svg" in (tmp_path / "means.svg").read_text()
    again = compare_groups(tmp_path / "rows.csv", by="group")
    assert json.loads(json.dumps(again.to_dict())) == saved
    bare = run(*call, "--figure", "means.png", cwd=tmp_path)
    assert bare.returncode == 2
    assert "needs the package 'matplotlib'" in bare.stderr
    assert cliffs_delta(np.ones((3, 1)), np.ones((4, 1))).tolist() == [0.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("who;day;happy\na;1;0,5\n", "its cells are parted by semicolons"),
        ("who,day,happy\na,1,0.5,x\n", "row 2 has 4 cells, the header 3"),
        ("who,day,happy\na,größer,0.5\n".encode("latin-1"), "it is not in UTF-8"),
        ("who,day,happy\na,1,0.5\n".encode("utf-16"), "it is not in UTF-8"),
        ("who,day,happy\n", "expected rows to compare, got none"),
        ("who,day,happy\na,1,46%\nb,2,12%\n", "numbers in the column 'happy', got 46%, 12%"),
    ],
)
def test_tables_that_a_spreadsheet_wrote_otherwise_are_refused_in_words(
    content: str | bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=said):
        compare_groups(path, by="day")


def test_what_cannot_be_compared_is_named_and_what_is_odd_is_warned_of() -> None:
    rows = [{"day": d, "mood": "good", "happy": 0.1 * i + d} for i in range(6) for d in (0, 1)]
    with pytest.raises(InputError, match="numbers in the column 'mood', got good"):
        compare_groups(rows, by="day", columns=["mood"])
    with pytest.raises(InputError, match="no row has mood=bad; it has good"):
        compare_groups(rows, by="day", where={"mood": "bad"})
    found = compare_groups(rows, by="day", where={"mood": "good"})
    assert any("happy: values outside 0 to 1" in said for said in found.warnings)
    close = [{"day": d, "eyes": 0.146 + 0.006 * d + 1e-5 * i} for i in range(9) for d in (0, 1)]
    assert (
        "eyes are higher in 1 (0.152) than in 0 (0.146)"
        in compare_groups(close, by="day").findings[0]
    )


def test_a_missing_table_is_said_before_any_photo_is_predicted(tmp_path: Path, run: Run) -> None:
    (tmp_path / "before").mkdir()
    done = run("compare-groups", str(tmp_path / "before"), str(tmp_path / "after"))
    assert done.returncode == 2
    assert "after: no such file or folder" in done.stderr
