"""The query language: what it means, held against a slow and obvious reading; and what is wrong is named with what is near."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.runs.index import RunIndex, RunLine, Sort
from console.runs.query import Names, QueryError, Term, full_name, parse, resolved, seconds
from console.store import Store
from engine.protocol.layout import Root
from remote.cloud.caps import Caps
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.ledger import Ledger, new_entry
from tests.console.made_runs import BEGAN, lay_run

NOW = BEGAN + 3600.0


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


@pytest.fixture
def store(root: Root) -> Iterator[Store]:
    store = Store(root.path / "console.db")
    yield store
    store.close()


@pytest.fixture
def index(root: Root, store: Store) -> Iterator[RunIndex]:
    index = RunIndex(store, clock=lambda: NOW)
    yield index
    index.close()


def found(index: RunIndex, text: str, sort: str = "run") -> list[str]:
    return index.ids(resolved(parse(text), index.names()), None, Sort.parse(sort))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunIndex]:
    """Four runs that differ in everything that a query can name; nobody writes to them."""
    root = Root(tmp_path_factory.mktemp("four"))
    store = Store(root.path / "console.db")
    lay_run(
        root,
        "a",
        {"lr": 1e-4, "train": {"ema": True}, "seed": 0},
        {"eval/accuracy": [0.5, 0.95], "loss": [1, 0.2]},
        at=0,
    )
    lay_run(
        root,
        "b",
        {"lr": 1e-3, "train": {"ema": False}, "seed": 1, "name": "wide net"},
        {"eval/accuracy": [0.8]},
        {"verdict": "good", "rows": 17},
        at=60,
        phase="phase14-best-of-n",
        host="gpu-2",
        state="failed",
        seconds=600,
    )
    lay_run(root, "c", {"lr": 0.01}, {"loss": [float("nan")]}, phase="phase1-coconut", preset="a100", at=120)
    lay_run(root, "d", phase="train", state="lost", at=180, created_by="bob@desk", project="other")
    store.refresh(root)
    store.notes.tag(["a", "b"], ["good", "v1.2"], [], "ann", NOW)
    store.notes.add("note", "tiny", "phase1-tiny", "c", "debug: it diverged", "ann", NOW)
    store.close()
    index = RunIndex(store, clock=lambda: NOW)
    yield index
    index.close()


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("", "abcd"),
        ("phase:1", "ac"),
        ("phase:14", "b"),
        ("phase:coconut", "c"),
        ("phase!=1", "bd"),
        ("cfg.lr>=1e-3", "bc"),
        ("cfg.lr=1e-4", "a"),
        ("cfg.lr:*", "abc"),
        ("-cfg.lr:*", "d"),
        ("cfg.ema:true", "a"),
        ("cfg.train.ema:false", "b"),
        ('cfg.name:"wide net"', "b"),
        ("cfg.name:wide", "b"),
        ("cfg.name=wide", ""),
        ("eval/accuracy>0.9", "a"),
        ("accuracy<=0.8", "b"),
        ("-accuracy>0.9", "bcd"),
        ("loss<1", "a"),
        ("loss:nan", "c"),
        ("loss:*", "ac"),
        ("verdict:good", "b"),
        ("rows=17", "b"),
        ("tag:good", "ab"),
        ("tag=go", ""),
        ("tag=v1.2", "ab"),
        ("-tag:*", "cd"),
        ("note:diverged", "c"),
        ("-note:debug", "abd"),
        ("host:gpu", "b"),
        ("host=gpu", ""),
        ("host=gpu*", "b"),
        ("state:failed,lost", "bd"),
        ("state!=succeeded", "bd"),
        ("preset:cpu", "abd"),
        ("seed=1", "b"),
        ("seed:0,1", "ab"),
        ("age<59m", "cd"),
        ("took>=10m", "b"),
        ("took<2m -state:lost", "ac"),
        ("by:bob", "d"),
        ("project:other", "d"),
        ("coconut", "c"),
        ("GPU failed", "b"),
        ("-told", ""),
        ("%", ""),
        ("_", ""),
        ("-nothing", "abcd"),
    ],
)
def test_a_query_finds(four: RunIndex, text: str, runs: str) -> None:
    assert "".join(found(four, text)) == runs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("phsae:7", "no run has a field, metric or fact 'phsae'; did you mean 'phase'?"),
        ("acuracy>0.9", "did you mean 'eval/accuracy'?"),
        ("eval/acuracy>0.9", "did you mean 'eval/accuracy'?"),
        ("lr>1", "did you mean 'cfg.lr'?"),
        ("cfg.lrr>1", "no run has a config key 'cfg.lrr'; did you mean 'cfg.lr'?"),
        ("cfg.em:true", "did you mean 'cfg.train.ema'?"),
        ("phase:", "`phase:` has no value"),
        ("age<7", "'7' is no duration; write 90s, 20m, 2h, 7d or 1h30m"),
        ("seed:x", "'x' is no number"),
        ("cfg.lr>fast", "'fast' is no number"),
        ("loss>nan", "'nan' is no number"),
        ("state<5", "state is a word; use state:5"),
        ("cost>$x", "'$x' is no number"),
        ("loss<1,2", "compares with several values"),
    ],
)
def test_what_can_not_be_asked_is_named_with_what_is_near(four: RunIndex, text: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        found(four, text)
    assert said in str(caught.value)


def test_a_short_name_that_several_end_in_is_refused_with_all_of_them() -> None:
    names = Names(("train.lr", "eval.lr"), ("train/loss", "val/loss"))
    with pytest.raises(QueryError, match="may be any of 2: train/loss, val/loss"):
        full_name("loss", names)
    with pytest.raises(QueryError, match=r"cfg.lr may be any of 2: cfg.train.lr, cfg.eval.lr"):
        full_name("cfg.lr", names)


@pytest.mark.parametrize(
    ("word", "value"), [("90s", 90), ("20m", 1200), ("5min", 300), ("1h30m", 5400), ("1.5d", 129600)]
)
def test_durations_are_read(word: str, value: float) -> None:
    assert seconds(word) == value


def test_quotes_keep_words_and_commas_together() -> None:
    assert parse('note:"two words" "a b" -"c d" x:"1,2",3').terms == (
        Term("note", ":", ("two words",)),
        Term("", ":", ("a b",)),
        Term("", ":", ("c d",), True),
        Term("x", ":", ("1,2", "3")),
    )


def test_what_a_query_asks_for_becomes_columns(four: RunIndex) -> None:
    query = resolved(parse("phase:1 accuracy>0 -cfg.lr>5"), four.names())
    assert query.asked == ["eval/accuracy", "cfg.lr"]
    line = four.lines(["a"], query.asked)["a"]
    assert line.values == {"eval/accuracy": 0.95, "cfg.lr": 1e-4}
    assert line.tags == ("good", "v1.2")
    assert four.lines(["c"])["c"].notes == 1


@pytest.mark.parametrize(
    ("sort", "runs"),
    [("age", "dcba"), ("-age", "abcd"), ("took", "dcab"), ("-took", "bdca"), ("-accuracy", "abdc"), ("cfg.lr", "abcd")],
)
def test_runs_are_sorted_and_those_without_a_value_come_last(four: RunIndex, sort: str, runs: str) -> None:
    sort = sort.replace("accuracy", "eval/accuracy")
    assert "".join(found(four, "", sort)) == runs


def test_what_a_user_types_is_never_sql(four: RunIndex) -> None:
    for text in ("'; DROP TABLE runs;--", "state:'\"", "cfg.lr:');--", "host:\\"):
        assert found(four, text) == []
    assert len(found(four, "")) == 4


def test_cost_is_the_price_of_the_machine_by_the_hours_on_it(root: Root, store: Store, index: RunIndex) -> None:
    from console.runs.prices import usd_per_h

    paths = CloudPaths(root.path / "cloud")
    assert usd_per_h(paths, "a100", BEGAN) is None
    paths.folder.mkdir(parents=True)
    with Ledger(paths.ledger) as ledger:
        ledger.intend(new_entry("a100", "gpu_1x_a100", "r", 129, "k", Caps(4, 8), BEGAN - 60))
    lay_run(root, "rented", host="a100", seconds=1800)
    lay_run(root, "own")
    store.refresh(root)
    price = usd_per_h(paths, "a100", BEGAN)
    assert price == 1.29
    assert usd_per_h(paths, "other", BEGAN) is None
    store.money.set_price("rented", price)
    assert found(index, "cost>$0.60") == ["rented"]
    assert found(index, "cost<0.1") == ["own"]
    assert index.lines(["rented"])["rented"].usd == pytest.approx(0.645)


# The same, slowly.


def _meets(term: Term, line: RunLine, config: dict[str, Any], finals: dict[str, Any]) -> bool:
    """One term by plain reading."""
    value: Any = config.get(term.field[4:]) if term.field.startswith("cfg.") else finals.get(term.field)
    if term.field in ("state", "seed"):
        value = getattr(line.row, term.field)
    wanted = [float(v) if isinstance(value, (int, float)) else v for v in term.values]
    tests = {
        ":": lambda: any(w in value if isinstance(value, str) else value == w for w in wanted),
        "=": lambda: value in wanted,
        "!=": lambda: value not in wanted,
        "<": lambda: value < wanted[0],
        ">=": lambda: value >= wanted[0],
    }
    held = value is not None and tests[term.op]()
    return held != term.negated


def test_random_queries_find_what_a_slow_reading_finds(root: Root, store: Store, index: RunIndex) -> None:
    dice = random.Random(7)
    configs: dict[str, dict[str, Any]] = {}
    finals: dict[str, dict[str, Any]] = {}
    for at in range(60):
        config = {"lr": dice.choice([1, 2, 3]), **({"width": dice.randrange(5)} if dice.random() < 0.6 else {})}
        shown = {"m": float(dice.randrange(5))} if dice.random() < 0.7 else {}
        run_id = f"r{at:02}"
        config["seed"] = dice.randrange(3)
        lay_run(
            root, run_id, config, {k: [v] for k, v in shown.items()}, state=dice.choice(["failed", "stopped"]), at=at
        )
        configs[run_id], finals[run_id] = config, shown
    store.refresh(root)
    lines = index.lines(sorted(configs))
    for _ in range(200):
        words = []
        for _ in range(dice.randrange(1, 4)):
            field = dice.choice(["cfg.lr", "cfg.width", "m", "seed", "state"])
            op = dice.choice([":", "=", "!="] if field == "state" else [":", "=", "!=", "<", ">="])
            value = dice.choice(["failed", "stopped"]) if field == "state" else str(dice.randrange(5))
            words.append(dice.choice(["", "-"]) + field + op + value)
        query = parse(" ".join(words))
        slow = [r for r in lines if all(_meets(t, lines[r], configs[r], finals[r]) for t in query.terms)]
        assert found(index, " ".join(words)) == slow, words
