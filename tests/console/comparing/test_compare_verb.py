"""The verb `compare`: for people, programs and plotters."""

from __future__ import annotations

from pathlib import Path

from console.comparing.load import Loader
from console.runs.index import RunIndex
from console.store import Store
from engine.protocol.layout import Root
from remote.local_host import LocalHost
from tests.console.conftest import Console
from tests.console.made_runs import lay_sweep
from tests.live import Specs, wait_final
from tests.polling import until


def test_the_verb_tells_people_programs_and_plotters(console: Console, project: Path, root: Root) -> None:
    lay_sweep(root)
    shown = console("compare", "--query", "cfg.lr:*", "--baseline", "run-0").out
    assert "lr=0.1 ×2 (baseline)" in shown
    assert "(+0.1)" in shown
    assert len(console("compare", "run-0", "run-1", "--each", "--json").json["sides"]) == 2
    assert console("compare", "run-0", "run-2", "--csv").out.count("\n") == 3
    assert console("compare", "run-0", "--points").out.count("\n") == 6
    assert console("compare", "run-0", "run-1", "--svg", "train/loss", "--time").out.startswith("<svg")
    assert "5 files in out" in console("compare", "-q", "cfg.lr:*", "--out", "out").out


def test_the_verb_says_what_can_not_be_compared(console: Console, project: Path, root: Root) -> None:
    lay_sweep(root)
    assert "compare what?" in console("compare").line
    assert "no run meets this query" in console("compare", "-q", "nothing").line
    assert "did you mean 'train/loss'?" in console("compare", "run-0", "--svg", "loss").line
    assert "is not among the compared runs" in console("compare", "run-0", "--baseline", "run-1").line


def test_a_run_that_can_not_be_read_is_compared_by_what_is_known(console: Console, project: Path, root: Root) -> None:
    lay_sweep(root)
    (root.run("run-0").spec).write_text("{}")
    store = Store(root.path / "console.db")
    store.refresh(root)
    index = RunIndex(store)
    members = Loader(root, index).members(["run-0", "run-1", "gone"])
    assert [(m.row.run_id, m.row.unreadable, bool(m.series)) for m in members] == [
        ("run-0", True, False),
        ("run-1", False, True),
    ]
    index.close()
    store.close()
    assert console("delete", "run-0", "--yes").code == 2, "said, not guessed"


def test_a_live_run_is_read_on(root: Root, tmp_path: Path) -> None:
    go = tmp_path / "go"
    line = '{"kind":"metric","step":%s,"values":{"loss":%s}}'
    script = f"""printf '{line}\\n' 1 3 >> $FRACTAL_EVENTS; until [ -e {go} ]; do sleep 0.02; done
printf '{line}\\n' 2 2 >> $FRACTAL_EVENTS; sleep 60"""
    host = LocalHost(root)
    spec = Specs(tmp_path / "work").sh(script)
    host.launch(spec)
    store = Store(root.path / "console.db")
    until(lambda: root.run(spec.run_id).events.exists(), "the first point")
    store.refresh(root)
    index = RunIndex(store)
    loader = Loader(root, index)
    until(lambda: loader.read_on() or loader.members([spec.run_id])[0].series, "its curve")
    go.touch()
    until(lambda: loader.read_on() and loader.members([spec.run_id])[0].series["loss"].count == 2, "the second point")
    assert loader.members([spec.run_id])[0].finals == {"loss": 2.0}
    host.stop(spec.run_id, "test", grace_s=0.0)
    wait_final(root.run(spec.run_id))
    index.close()
    store.close()
    host.close()
