"""How tests become calls and decisions."""

import struct

import pytest

from engine.verify.sandbox import bpf
from engine.verify.sandbox.plan import Batch, Remote, plan
from engine.verify.sandbox.verdict import SandboxBroken, Tests


def test_calls_with_literals_become_a_batch():
    how = plan(Tests(asserts=("assert f([1], k='x') == {2}", "assert not f(-1)", "assert (3,) == f(())")))
    assert isinstance(how, Batch)
    assert how.calls == [["f", [["l", 1]], {"k": "x"}], ["f", [-1], {}], ["f", [["t"]], {}]]
    assert [holds({2}) for holds in how.holds] == [True, False, False]


@pytest.mark.parametrize(
    "line", ["assert f(g(1)) == 2", "assert f(1) > 2", "assert set(f(1)) == {1}", "x = f(1)\nassert x"]
)
def test_anything_else_is_run_by_the_judge(line):
    assert isinstance(plan(Tests(asserts=(line,))), Remote)


def test_literal_calls_of_a_checker_are_asked_for_ahead():
    check = "def check(candidate):\n    assert candidate(1) == 2\n"
    check += "    for i in range(3):\n        assert candidate(i) == candidate(2)\n"
    how = plan(Tests(check=check, entry_point="f"))
    assert how.calls == [["f", [1], {}]]


def test_tests_that_are_no_python_are_our_fault():
    with pytest.raises(SandboxBroken, match="no Python"):
        plan(Tests(asserts=("assert f(",)))


def decisions(arch, number, args=(0, 0, 0, 0, 0, 0)):
    """Run the filter over one system call: a slow obvious interpreter of the five instructions in use."""
    data = struct.pack("=IIQ6Q", number, arch.audit, 0, *args)
    program, at, held = bpf.program(arch), 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return value
        elif code in (0x15, 0x35, 0x45):
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize("arch", [bpf.X86_64, bpf.AARCH64], ids=["x86-64", "aarch64"])
def test_the_filter_lets_computing_through_and_nothing_else(arch):
    allowed = {n for n in range(600) if decisions(arch, n) == 0x7FFF0000}
    assert allowed == set(arch.free.values()) | {arch.fcntl, arch.prlimit64}


@pytest.mark.parametrize("arch", [bpf.X86_64, bpf.AARCH64], ids=["x86-64", "aarch64"])
def test_threads_may_be_made_and_processes_not(arch):
    assert decisions(arch, arch.clone, (0x00010000 | 0x100, 0, 0, 0, 0, 0)) == 0x7FFF0000
    assert decisions(arch, arch.clone, (17, 0, 0, 0, 0, 0)) == 0x00050001
    assert decisions(arch, arch.clone3) == 0x00050000 | 38


@pytest.mark.parametrize("arch", [bpf.X86_64, bpf.AARCH64], ids=["x86-64", "aarch64"])
def test_limits_may_be_read_and_not_set(arch):
    assert decisions(arch, arch.prlimit64, (0, 0, 0, 1, 0, 0)) == 0x7FFF0000
    assert decisions(arch, arch.prlimit64, (0, 0, 1 << 32, 0, 0, 0)) == 0x00050001
    assert decisions(arch, arch.fcntl, (3, 8, 1, 0, 0, 0)) == 0x00050001


def test_a_call_of_another_architecture_kills():
    program = bpf.X86_64
    assert decisions(program, 0x40000000 | 57) == 0x80000000
