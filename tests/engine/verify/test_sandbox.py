"""What the sandbox says about honest, wrong, slow and broken programs."""

import collections
import dataclasses
import os
import pickle

import pytest

from engine.verify.sandbox import frames
from engine.verify.sandbox.judge import Judge
from engine.verify.sandbox.link import Standing, Zygote
from engine.verify.sandbox.pool import Pool, _Worker
from engine.verify.sandbox.tier import open_zygote, tier_of
from engine.verify.sandbox.verdict import (
    FAIL,
    PASS,
    TIMEOUT,
    Limits,
    NoIsolation,
    Sample,
    SandboxBroken,
    Tests,
    Verdict,
)


@pytest.fixture(scope="module")
def judge():
    try:
        zygote, tier = open_zygote(Limits(wall_extra_s=1.0, wall_factor=4.0))
    except NoIsolation as error:
        pytest.skip(str(error))
    yield Judge(zygote, Limits(wall_extra_s=1.0, wall_factor=4.0), tier)
    zygote.close()


def asserts(*lines, **more):
    return Tests(asserts=lines, cpu_s=1, **more)


def said(judge, code, tests):
    return judge.judge(Sample("it", code, tests))


def test_a_right_program_passes_with_its_count(judge):
    verdict = said(judge, "def f(x): return x * 2", asserts("assert f(2) == 4", "assert f(3) == 6"))
    assert (verdict.verdict, verdict.reason, verdict.passed, verdict.total) == (PASS, "ok", 2, 2)


def test_a_wrong_program_fails_by_assert(judge):
    verdict = said(judge, "def f(x): return x", asserts("assert f(0) == 0", "assert f(3) == 6"))
    assert (verdict.verdict, verdict.reason, verdict.passed) == (FAIL, "assert", 1)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def f(x): return x +", "syntax"),
        ("def f(x): return 1 // 0", "exc:ZeroDivisionError"),
        ("def g(x): return x", "exc:NameError"),
        ("def f(x): return 'a' * (1 << 40)", "memory"),
        ("def f(x): exit()", "exit"),
        ("import os\ndef f(x): return os.listdir('/home')", "denied"),
        ("import ctypes\ndef f(x): ctypes.string_at(0)", "signal"),
        ("def f(x): return ['x' * 4000] * 2000", "output"),
    ],
)
def test_a_failure_has_its_reason(judge, code, reason):
    assert said(judge, code, asserts("assert f(2) == 4")).reason == reason


def test_a_busy_loop_is_ended_by_the_kernel_after_its_cpu_time(judge):
    verdict = said(judge, "def f(x):\n  while True: pass", asserts("assert f(2) == 4"))
    assert (verdict.verdict, verdict.reason) == (TIMEOUT, "cpu")


def test_a_sleeper_is_ended_by_the_wall(judge):
    verdict = said(judge, "import time\ndef f(x): time.sleep(99)", asserts("assert f(2) == 4"))
    assert (verdict.verdict, verdict.reason) == (TIMEOUT, "wall")


def test_outputs_agree_whatever_order_a_set_was_built_in(judge):
    tests = asserts("assert f(1) == 0")
    one = said(judge, "def f(x): return {'b': {3, 1, 2}, 'a': 1}", tests)
    two = said(judge, "def f(x): return {'a': 1, 'b': {2, 1, 3}}", tests)
    assert one.outputs == two.outputs
    assert one.verdict == FAIL


def test_a_name_that_the_reference_does_not_define_stays_pythons(judge):
    tests = asserts("assert set(f([1, 1])) == set([1])", reference="def f(x): return x")
    assert said(judge, "def set(x): return 0\ndef f(x): return [2]", tests).verdict == FAIL


def test_a_function_called_sum_is_the_candidates_when_the_reference_says_so(judge):
    tests = asserts("assert sum(2, 3) == 6", reference="def sum(a, b): return a * b")
    assert said(judge, "def sum(a, b): return a * b", tests).verdict == PASS


def test_a_module_of_the_tests_is_the_judges_own(judge):
    tests = asserts("assert math.isclose(f(1), 0.5)", imports=("import math",))
    cheat = "import math\nmath.isclose = lambda *a: True\ndef f(x): return 7"
    assert said(judge, cheat, tests).verdict == FAIL
    assert said(judge, "def f(x): return x / 2", tests).verdict == PASS


def test_a_change_of_an_argument_is_seen_by_the_test(judge):
    check = "def check(candidate):\n    data = [3, 1, 2]\n    candidate(data)\n    assert data == [1, 2, 3]\n"
    tests = Tests(check=check, entry_point="f", cpu_s=1)
    assert said(judge, "def f(x): x.sort()", tests).verdict == PASS
    assert said(judge, "def f(x): return sorted(x)", tests).verdict == FAIL


def test_a_test_may_expect_an_exception(judge):
    check = (
        "def check(candidate):\n    try:\n        candidate(-1)\n        assert False\n"
        "    except ValueError:\n        pass\n"
    )
    tests = Tests(check=check, entry_point="f", cpu_s=1)
    assert said(judge, "def f(x):\n  raise ValueError('negative')", tests).verdict == PASS
    assert said(judge, "def f(x):\n  return 0", tests).verdict == FAIL


def test_objects_of_the_candidates_own_classes_come_back_to_it(judge):
    reference = "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\ndef total(p): return p.a + p.b"
    tests = asserts("assert total(Pair(2, 3)) == 5", reference=reference)
    assert said(judge, reference, tests).verdict == PASS


def test_a_script_reads_and_prints(judge):
    tests = Tests(stdin=(("2 3\n", "5\n"), ("1 1\n", "2")), cpu_s=1)
    verdict = said(judge, "print(sum(map(int, input().split())))", tests)
    assert (verdict.verdict, verdict.passed, verdict.mode) == (PASS, 2, "stdin")


def test_a_script_may_end_with_exit_zero_and_print_at_its_exit(judge):
    tests = Tests(stdin=(("5\n", "5\n"),), cpu_s=1)
    late = "import atexit, sys\natexit.register(lambda: sys.stdout.write(data))\ndata = open(0).read()"
    assert said(judge, late, tests).verdict == PASS
    assert said(judge, "import sys\nprint(input())\nsys.exit()", tests).verdict == PASS


def test_calls_in_json_count_tuples_as_lists_and_look_into_class_solution(judge):
    tests = Tests(calls=(("[3]", "[[0, 1, 2]]"),), entry_point="f", cpu_s=1)
    assert said(judge, "class Solution:\n  def f(self, n): return tuple(range(n))", tests).verdict == PASS
    assert said(judge, "def f(n): return list(range(n + 1))", tests).verdict == FAIL


def test_what_stands_under_main_runs_in_a_script_and_not_in_a_called_program(judge):
    code = "def f(x): return x\nif __name__ == '__main__':\n  print(input())"
    assert said(judge, code, asserts("assert f(2) == 2")).verdict == PASS
    assert said(judge, code, Tests(stdin=(("5\n", "5\n"),), cpu_s=1)).verdict == PASS


def test_random_starts_alike_in_every_child(judge):
    tests = asserts("assert f(1) == 0")
    code = "import random\ndef f(x): return random.random()"
    assert said(judge, code, tests).outputs == said(judge, code, tests).outputs


def test_a_zygote_that_is_gone_is_a_broken_sandbox_and_no_wrong_answer():
    zygote = Zygote(1 << 30)
    zygote.close()
    with pytest.raises((SandboxBroken, OSError)):
        Judge(zygote, Limits(), "A").judge(Sample("it", "def f(x): return x", asserts("assert f(1) == 1")))


def test_a_killed_zygote_is_a_broken_sandbox():
    zygote = Zygote(1 << 30)
    zygote._process.kill()
    zygote._process.wait()
    with pytest.raises(SandboxBroken, match="stopped answering"):
        Judge(zygote, Limits(), "A").judge(Sample("it", "def f(x): return x", asserts("assert f(1) == 1")))
    zygote.close()


def test_a_problem_without_tests_is_refused(judge):
    with pytest.raises(SandboxBroken, match="without tests"):
        said(judge, "def f(x): return x", Tests())


@pytest.mark.parametrize(
    ("walls", "tier"),
    [((True, True, True), "A"), ((False, True, True), "B"), ((True, False, True), "C"), ((True, True, False), "C")],
)
def test_the_tier_follows_from_the_walls(walls, tier):
    assert tier_of(Standing(*walls)) == tier


def test_without_walls_nothing_runs_unless_the_user_says_so():
    with pytest.raises(NoIsolation, match="--unsafe"):
        open_zygote(Limits(), walls="none")
    zygote, tier = open_zygote(Limits(), walls="none", unsafe=True)
    zygote.close()
    assert tier == "C"


def test_the_second_tier_holds_as_well():
    try:
        zygote, tier = open_zygote(Limits(), walls="landlock")
    except NoIsolation as error:
        pytest.skip(str(error))
    zygote.close()
    assert tier == "B"


def test_a_pool_gives_every_sample_one_verdict_with_its_tier(judge):
    tests = asserts("assert f(1) == 2")
    samples = [Sample(str(n), f"def f(x): return x + {n % 2}", tests) for n in range(40)]
    with Pool(2) as pool:
        verdicts = {v.key: v for v in pool.judge(samples)}
    assert len(verdicts) == 40
    assert {v.tier for v in verdicts.values()} == {judge.tier}
    assert sum(v.ok for v in verdicts.values()) == 20


def test_a_judge_that_is_stuck_over_a_value_is_replaced(monkeypatch, judge):
    monkeypatch.setattr("engine.verify.sandbox.pool._STUCK_EXTRA_S", 0.0)
    loops = Tests(asserts=("assert f(1) and all(True for _ in iter(int, 1))",), cpu_s=0.5)
    fine = Tests(asserts=("assert f(1)",), cpu_s=0.5)
    samples = [Sample("stuck", "def f(x): return 1", loops), Sample("fine", "def f(x): return 1", fine)]
    with Pool(1, Limits(wall_factor=2.0, wall_extra_s=1.0)) as pool:
        verdicts = {v.key: v.reason for v in pool.judge(samples)}
    assert verdicts == {"stuck": "protocol", "fine": "ok"}


def test_a_caller_that_stops_early_leaves_the_pool_usable(judge):
    tests = asserts("assert f(1) == 1")
    samples = [Sample(str(n), "def f(x): return x", tests) for n in range(50)]
    with Pool(1) as pool:
        next(iter(pool.judge(samples)))
        again = [dataclasses.replace(s, key=f"again-{s.key}") for s in samples[:3]]
        assert sorted(v.key for v in pool.judge(again)) == ["again-0", "again-1", "again-2"]


def test_a_message_that_came_along_with_another_is_heard_at_once(judge):
    """One read may bring two: the second wakes nobody, and its samples once waited until their worker was taken for stuck."""
    read, write = os.pipe()
    said = [[Verdict("a", "PASS", "ok", 1, 1)], [Verdict("b", "PASS", "ok", 1, 1)]]
    for verdicts in said:
        frames.send(write, pickle.dumps(verdicts))
    samples = [Sample(key, "", Tests()) for key in ("a", "b")]
    worker = _Worker(None, frames.Reader(read, 1 << 20), collections.deque(samples))
    with Pool(1) as pool:
        assert [verdict.key for _, verdict in pool._hear(worker)] == ["a", "b"]
    os.close(read)
    os.close(write)
