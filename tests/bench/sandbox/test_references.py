"""Every reference of MBPP, sanitized MBPP and HumanEval passes; the hostile suite again under a checker.

python -m pytest tests/bench/sandbox/test_references.py -s -c tests/bench/pytest.ini
"""

import collections
import os
import runpy
import time
from pathlib import Path

import pytest

from engine.verify.problems import humaneval, mbpp
from engine.verify.sandbox.pool import Pool
from engine.verify.sandbox.verdict import Limits, Sample, Tests

_ROOT = Path(__file__).resolve().parents[3]
_DATA = Path(os.environ.get("FRACTAL_DATA") or _ROOT.parent / "shared" / "data")

needs_data = pytest.mark.skipif(not (_DATA / "mbpp.jsonl").exists(), reason=f"no MBPP in {_DATA} (set FRACTAL_DATA)")


@needs_data
@pytest.mark.parametrize("which", ["full", "sanitized", "humaneval"])
def test_all_references_pass(which):
    problems = humaneval.load(_DATA) if which == "humaneval" else mbpp.load(which, _DATA)
    with Pool(2) as pool:
        judged = pool.judge(p.sample(p.task_id, p.reference) for p in problems if not p.set_aside)
        verdicts = list(judged)
    print(
        f"\n{which}: {sum(v.ok for v in verdicts)} of {len(problems)}, {collections.Counter(v.mode for v in verdicts)}"
    )
    assert [v for v in verdicts if not v.ok] == []


def test_no_cheat_passes_a_checker():
    cheats = runpy.run_path(str(_ROOT / "tests" / "engine" / "verify" / "hostile.py"))["programs"]()
    check = (
        "def check(candidate):\n    assert candidate(2, 3) == 5\n    for n in range(3):\n"
        "        assert candidate(n, n) == 2 * n\n"
    )
    tests = Tests(check=check, entry_point="add", cpu_s=1)
    gone = {"CANARY": "/nonexistent/canary", "FOLDER": "/nonexistent", "PORT": "9", "PID": "1"}
    samples = []
    for name, code in cheats.items():
        for word, value in gone.items():
            code = code.replace(word, value)
        samples.append(Sample(name, code, tests))
    with Pool(2, Limits(wall_factor=2.0, wall_extra_s=1.0)) as pool:
        passed = [v.key for v in pool.judge(samples) if v.ok]
    assert passed == []


def test_a_large_mixed_set_takes_little_more_than_its_time_outs():
    """The issue's bound: 1.15 x (time-outs x limit + samples x 3 ms) / cores, in CPU time, which a busy box doesn't change."""
    tests = Tests(asserts=("assert f(2) == 4",), cpu_s=2)
    kinds = ["def f(x): return x * 2", "def f(x): return x", "def f(x): return x / 0", "def f(x) return x"]
    samples = [Sample(str(n), kinds[n % 4], tests) for n in range(2000)]
    samples[::100] = [Sample(f"loop {n}", "def f(x):\n  while True: pass", tests) for n in range(20)]
    before, start = os.times(), time.perf_counter()
    with Pool(2) as pool:
        verdicts = list(pool.judge(samples))
    after, wall = os.times(), time.perf_counter() - start
    cpu = (after.user + after.system + after.children_user + after.children_system) - (
        before.user + before.system + before.children_user + before.children_system
    )
    bound = 1.15 * (20 * 2 + 2000 * 0.003)
    print(
        f"\n2000 samples, 20 time-outs: {cpu:.1f} CPU-s of {bound:.1f}; wall {wall:.1f} s on 2 workers of {bound / 2:.1f}"
    )
    assert sum(v.verdict == "TIMEOUT" for v in verdicts) == 20
    assert cpu <= bound
