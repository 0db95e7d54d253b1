"""The arguments of every verb. Light: argparse and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable


def _json(p: ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="print JSON for programs")


def _phase(p: ArgumentParser) -> None:
    p.add_argument("phase", metavar="PHASE", help="a phase's id, or the beginning of it")


def _preset(p: ArgumentParser) -> None:
    p.add_argument("--preset", metavar="NAME", help="such as smoke, cpu, a100 (the last one used by default)")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override a value of the config")


def _run_word(p: ArgumentParser, about: str = "a run's id, a unique part of it, or `last`") -> None:
    p.add_argument("run", metavar="RUN", help=about)


def phases(p: ArgumentParser) -> None:
    _json(p)


def show(p: ArgumentParser) -> None:
    _phase(p)
    _preset(p)
    _json(p)


gates = show
config = show


def run(p: ArgumentParser) -> None:
    _phase(p)
    p.add_argument("step", metavar="STEP", nargs="?", help="one step only; the whole phase without it")
    _preset(p)
    p.add_argument("--host", default="local", help="where to run (local)")
    p.add_argument("--from", dest="first", metavar="STEP", help="begin the phase at this step")
    p.add_argument("--detach", action="store_true", help="start it and return; it goes on by itself")
    p.add_argument("--force", metavar="REASON", help="start one step although a gate or step before it is not passed")
    p.add_argument("--stop-at-manual", action="store_true", help="let a plan stop where only a person can tick")
    p.add_argument(
        "--max-hours", type=float, metavar="H", help="cap: a plan is checkpointed, saved and ended after H hours"
    )
    p.add_argument("--max-usd", type=float, metavar="D", help="the same in dollars, on a rented host")
    p.add_argument("--save-to", metavar="FOLDER", help="at the end copy required files there and verify them by hash")
    p.add_argument(
        "--on-cap",
        choices=("save-then-terminate", "terminate", "hold"),
        help="at the cap (save-then-terminate)",
    )
    p.add_argument("--keep", action="store_true", help="leave a rented machine running when the plan is over")
    p.add_argument("--dry-run", action="store_true", help="show what would run, and where, and start nothing")
    _json(p)


def runs(p: ArgumentParser) -> None:
    p.add_argument("phase", metavar="PHASE", nargs="?")
    _query(p)
    p.add_argument("--sort", metavar="FIELD", default="age", help="such as took, cfg.lr, eval/accuracy")
    p.add_argument("-r", "--reverse", action="store_true", help="the largest first (of age: the oldest)")
    p.add_argument("-n", type=int, default=20, metavar="N", help="how many (20); 0 is all")
    p.add_argument("--all", action="store_true", help="of every project")
    _json(p)


def _query(p: ArgumentParser) -> None:
    p.add_argument(
        "-q",
        "--query",
        metavar="QUERY",
        default="",
        help="such as: 'phase:7 cfg.lr>=1e-4 eval/accuracy>0.9 tag:x state:failed age<7d cost>$1 -note:debug words'",
    )


def _run_words(p: ArgumentParser, least: str = "+") -> None:
    p.add_argument("runs", metavar="RUN", nargs=least, help="a run's id, a unique part of it, or `last`")


def compare(p: ArgumentParser) -> None:
    _run_words(p, "*")
    _query(p)
    p.add_argument("--baseline", metavar="RUN", help="hold the others against this one")
    p.add_argument("--each", action="store_true", help="each run alone, also those that differ in their seed only")
    p.add_argument("--csv", action="store_true", help="a line a run: config and final values")
    p.add_argument("--points", action="store_true", help="a line a point, as CSV")
    p.add_argument("--svg", metavar="METRIC", help="one chart as SVG")
    p.add_argument("--time", action="store_true", help="charts over seconds, not steps")
    p.add_argument("--out", metavar="FOLDER", help="all of it into a folder: CSV, JSON, an SVG per metric")
    _json(p)


def _page(p: ArgumentParser) -> None:
    p.add_argument("--html", action="store_true", help="one HTML file that needs nothing else (Markdown otherwise)")
    p.add_argument("--out", metavar="FILE", help="write it there; .html makes HTML, beside .md lie the charts as SVG")
    _json(p)


def report(p: ArgumentParser) -> None:
    _phase(p)
    _preset(p)
    _page(p)


def context(p: ArgumentParser) -> None:
    p.add_argument("phase", metavar="PHASE", nargs="?", help="the phase that is worked on (what ran last, without it)")
    _page(p)


def rerun(p: ArgumentParser) -> None:
    _run_word(p)
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override a value of the config")
    p.add_argument("--host", help="where to run (where the earlier run was)")
    p.add_argument("--detach", action="store_true", help="start it and return; it goes on by itself")
    p.add_argument("--force", metavar="REASON", help="start it although a gate or step before it is not passed")
    _json(p)


def delete(p: ArgumentParser) -> None:
    _run_words(p)
    p.add_argument("--files", action="store_true", help="also the files in the work folder that only this run has made")
    p.add_argument(
        "--force", metavar="REASON", help="although a gate stands on it or its model is in use; kept in the notes"
    )
    p.add_argument("--dry-run", action="store_true", help="say what would go and what speaks against it")
    p.add_argument("--yes", action="store_true", help="don't ask")
    _json(p)


def tag(p: ArgumentParser) -> None:
    _run_words(p)
    p.add_argument("--add", metavar="TAG", action="append", default=[], help="may be given several times")
    p.add_argument("--remove", metavar="TAG", action="append", default=[], help="take this tag off")
    _json(p)


def note(p: ArgumentParser) -> None:
    p.add_argument("about", metavar="PHASE|RUN", help="a phase's id, a run's id or a unique part of it, or `last`")
    p.add_argument("words", metavar="WORDS", nargs="+", help="what is to be kept")
    p.add_argument("--learning", action="store_true", help="something to remember beyond this run")
    _json(p)


def notes(p: ArgumentParser) -> None:
    p.add_argument("words", metavar="WORD", nargs="*", help="only those that hold every word")
    p.add_argument("--phase", metavar="PHASE", help="only on this phase and its runs")
    p.add_argument("--run", metavar="RUN", help="only on this run")
    p.add_argument("--all", action="store_true", help="of every project")
    p.add_argument("--withdraw", type=int, metavar="N", help="cross out note N; it stays in the exported log")
    p.add_argument("--export", action="store_true", help="the whole log as Markdown, also what was withdrawn")
    _json(p)


def status(p: ArgumentParser) -> None:
    _run_word(p)
    _json(p)


def why(p: ArgumentParser) -> None:
    p.add_argument("what", metavar="RUN|PHASE", help="a run (id, a unique part of it, `last`) or a phase")
    _preset(p)
    _json(p)


def logs(p: ArgumentParser) -> None:
    _run_word(p)
    p.add_argument("-f", "--follow", action="store_true", help="until the run ends")
    p.add_argument("-n", type=int, metavar="LINES", help="only the last LINES")


def events(p: ArgumentParser) -> None:
    _run_word(p)
    p.add_argument("-f", "--follow", action="store_true", help="until the run ends")
    p.add_argument("--kind", help="only metric, fact, artifact, progress, note, checkpoint, model or meters")


def replay(p: ArgumentParser) -> None:
    _run_word(p)
    p.add_argument(
        "--at", metavar="MOMENT", help="begin there: 1200 (a step), 12:30, +90s from its begin, --at=-5m from its end"
    )
    p.add_argument("--speed", type=float, default=10.0, metavar="X", help="times as fast as it went (10); 0: at once")
    _json(p)


def stop(p: ArgumentParser) -> None:
    _run_word(p, "a run or a plan: its id, a unique part of it, or `last`")
    p.add_argument("--now", action="store_true", help="SIGKILL at once, without grace")
    p.add_argument("--why", default="", help="kept with the run")
    _json(p)


def checkpoint(p: ArgumentParser) -> None:
    _run_word(p)
    _json(p)


def queue(p: ArgumentParser) -> None:
    p.add_argument("--host", default="local", help="whose queue (local)")
    _json(p)


def plans(p: ArgumentParser) -> None:
    p.add_argument("-n", type=int, default=20, metavar="N", help="how many (20)")
    _json(p)


def plan(p: ArgumentParser) -> None:
    p.add_argument("plan", metavar="PLAN", help="a plan's id, a unique part of it, or `last`")
    _json(p)


def resume(p: ArgumentParser) -> None:
    p.add_argument("plan", metavar="PLAN", help="a plan's id, a unique part of it, or `last`")
    p.add_argument("--detach", action="store_true", help="return at once")
    _json(p)


def tick(p: ArgumentParser) -> None:
    _phase(p)
    p.add_argument("check", metavar="CHECK", help="its id, or a unique part of its sentence")
    _preset(p)
    p.add_argument("--note", default="", help="what was seen")
    p.add_argument("--undo", action="store_true", help="take the tick back")
    _json(p)


def override(p: ArgumentParser) -> None:
    _phase(p)
    p.add_argument("check", metavar="CHECK", help="its id, or a unique part of its sentence")
    _preset(p)
    p.add_argument("--reason", help="why it is accepted; stays visible")
    p.add_argument("--undo", action="store_true", help="take the override back")
    _json(p)


def models(p: ArgumentParser) -> None:
    p.add_argument("action", nargs="?", default="list", help="list, show, compare, promote, verify or handoff")
    p.add_argument("names", nargs="*", metavar="MODEL")
    p.add_argument("--to", metavar="PHASE", help="of a hand-off: the phase that goes on with the model")
    p.add_argument("--reason", default="", help="kept with a promotion")
    _json(p)


def init(p: ArgumentParser) -> None:
    p.add_argument("--command", metavar="CMD", help="such as: python train.py")
    p.add_argument("--name", help="the phase's id (train)")
    p.add_argument(
        "--log", metavar="FILE", help="a log of an earlier run, to find metrics in; `last` is the last run's"
    )
    p.add_argument(
        "--check", metavar="CHECK", action="append", default=[], help="a line of the gate, such as: metric loss < 0.5"
    )
    p.add_argument("--output", metavar="FILE", action="append", default=[], help="a file that the command makes")
    p.add_argument("--run", action="store_true", help="start it at once")
    p.add_argument("--detach", action="store_true", help="with --run: return at once, it goes on by itself")
    p.add_argument("--replace", action="store_true", help="write over a phase file of that name")


def doctor(p: ArgumentParser) -> None:
    _json(p)


def settings(p: ArgumentParser) -> None:
    p.add_argument("action", nargs="?", default="print", choices=("print", "path", "check", "keys"))
    _json(p)


def instances(p: ArgumentParser) -> None:
    from console.rental.arguments import add_arguments

    add_arguments(p)


def sweep(p: ArgumentParser) -> None:
    from console.rental.arguments import add_sweep_arguments

    add_sweep_arguments(p)


def hosts(p: ArgumentParser) -> None:
    from console.hosts.arguments import add_hosts_arguments

    add_hosts_arguments(p)


def sync(p: ArgumentParser) -> None:
    from console.hosts.arguments import add_sync_arguments

    add_sync_arguments(p)


def pull(p: ArgumentParser) -> None:
    from console.hosts.arguments import add_pull_arguments

    add_pull_arguments(p)


ARGUMENTS: dict[str, Callable[[ArgumentParser], None]] = {
    "phases": phases,
    "show": show,
    "gates": gates,
    "config": config,
    "run": run,
    "runs": runs,
    "compare": compare,
    "report": report,
    "context": context,
    "rerun": rerun,
    "delete": delete,
    "tag": tag,
    "note": note,
    "notes": notes,
    "status": status,
    "why": why,
    "logs": logs,
    "events": events,
    "replay": replay,
    "stop": stop,
    "checkpoint": checkpoint,
    "queue": queue,
    "plans": plans,
    "plan": plan,
    "resume": resume,
    "tick": tick,
    "override": override,
    "models": models,
    "init": init,
    "doctor": doctor,
    "settings": settings,
    "instances": instances,
    "sweep": sweep,
    "hosts": hosts,
    "sync": sync,
    "pull": pull,
}
