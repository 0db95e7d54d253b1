"""`report` and `context` over a real project: what they say is what the evidence says, and follows it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from tests.console.conftest import Console


@pytest.fixture
def passed(console: Console, project: Path) -> Console:
    """The tiny phase passed with three seeds."""
    for seed in (0, 1, 2):
        answer = console("run", "phase1-tiny", "--set", f"seed={seed}")
        assert answer.code == 0, answer.out + answer.err
    assert console("note", "phase1", "--learning", "echo is enough").code == 0
    return console


def test_a_report_says_what_was_shown_and_by_what(passed: Console) -> None:
    run_id = next(r["run_id"] for r in passed("runs", "--json").json if r["step"] == "make")
    text = passed("report", "phase1").out
    assert text.startswith("# phase1-tiny — Two shell steps and a gate\n\n✓ passed at default+seed=2 · 4 of 4 checks")
    for said in (
        "Show that a phase goes from its first step to its gate.",
        "### data — It was made: ✓ passed (3 of 3)",
        "`metric loss < 0.5`",
        "loss is 0.4, needs < 0.5",
        "### make, 3 seeds",
        "| **loss** | 0.4   | 0.4             | 0.4 to 0.4 (n = 3) |",
        "(chart: make: loss)",
        "All 6 runs of the phase, failed ones too",
        "seed: 2",
        "**learning** `phase1-tiny` echo is enough",
    ):
        assert said in text, said
    assert text.count(run_id) >= 3, "each verdict, each step and the provenance name the run"


def test_a_report_is_of_the_variant_that_is_asked_for(passed: Console) -> None:
    assert "at default+seed=0 ·" in passed("report", "phase1", "--set", "seed=0").out
    assert "open at default+seed=9 · 0 of 4 checks" in passed("report", "phase1", "--set", "seed=9").out


def test_a_report_becomes_a_file_with_its_charts(passed: Console, project: Path) -> None:
    assert passed("report", "phase1", "--out", "pages/r.md").out == "written: pages/r.md\n"
    chart = project / "pages" / "r-charts" / "make-loss.svg"
    assert "![make: loss](r-charts/make-loss.svg)" in (project / "pages" / "r.md").read_text()
    ElementTree.fromstring(chart.read_text())
    assert passed("report", "phase1", "--out", "r.html").code == 0
    html = (project / "r.html").read_text()
    assert "<svg" in html
    assert passed("report", "phase1", "--html").out.startswith("<!doctype html>")
    kinds = {b["kind"] for b in passed("report", "phase1", "--json").json["blocks"]}
    assert kinds == {"heading", "prose", "table", "figure", "code"}
    (project / "taken").write_text("")
    assert "can't be written" in passed("report", "phase1", "--out", "taken/r.md").line


def test_the_context_page_follows_the_evidence(console: Console, project: Path, root: Root) -> None:
    before = console("context", "phase1").out
    assert "- [ ] step make: `fractal-console run phase1-tiny make --preset default`" in before
    assert "- [ ] gate data: 3 checks wait for make" in before
    assert "- [ ] step use is blocked: step make has not succeeded yet" in before
    assert console("run", "phase1-tiny", "make", "--set", "seed=3").code == 0
    after = console("context").out
    assert "| Variant | `default+seed=3`" in after
    assert "- [x] step make\n- [x] gate data, 3 of 3 checks" in after
    assert "- [ ] step use: `fractal-console run phase1-tiny use --preset default --set seed=3`" in after
    assert console("run", "phase1-tiny", "use", "--set", "seed=3").code == 0
    assert "- [ ] phase phase2-judged is open: `fractal-console run phase2-judged" in console("context").out


def test_the_context_page_asks_for_ticks_and_tells_what_went_wrong(console: Console, project: Path) -> None:
    broken = project / "configs/phases/phase3-broken.yaml"
    broken.write_text("phase: phase3-broken\ntitle: t\ngoal: g\nsteps:\n  - step: go\n    run: sh -c 'exit 3'\n")
    assert console("run", "phase2-judged", "say").code == 0
    text = console("context").out
    assert "`manual: the words read well`: look, then `fractal-console tick phase2-judged" in text
    assert "- [ ] `metric words > 3` is failed" in text
    assert console("run", "phase3-broken", "go").code == 1
    text = console("context").out
    assert "## What went wrong lately" in text
    assert "exit code 3" in text
    assert "`phase3-broken`" in text
    assert "Nothing is rented." in text
