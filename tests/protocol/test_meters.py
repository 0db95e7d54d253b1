"""What machines tell about themselves, as they were recorded."""

from __future__ import annotations

from engine.protocol.meters import busy_share, parse_gpus, parse_meminfo, parse_process, parse_stat

TWO = """\
index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB], power.draw [W], power.limit [W], temperature.gpu
0, NVIDIA A100-SXM4-40GB, 97 %, 30521 MiB, 40960 MiB, 312.45 W, 400.00 W, 61
1, NVIDIA A100-SXM4-40GB, 0 %, 4 MiB, 40960 MiB, 52.10 W, 400.00 W, 31
"""
NO_UNITS = """\
index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB], power.draw [W], power.limit [W], temperature.gpu
0, NVIDIA A100-SXM4-40GB, 97, 30521, 40960, 312.45, 400.00, 61
"""
LESS = """\
index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB], power.draw [W], power.limit [W], temperature.gpu
0, NVIDIA GeForce GTX 1080, [N/A], 512 MiB, 8192 MiB, [Not Supported], [Unknown Error], 44
"""
STAT = """\
cpu  1000 50 250 8000 200 0 20 5 0 0
cpu0 500 25 125 4000 100 0 10 2 0 0
cpu1 500 25 125 4000 100 0 10 3 0 0
intr 12345 0 9
"""
MEMINFO = (
    "MemTotal:       24576000 kB\nMemFree:         1000000 kB\nMemAvailable:   20480000 kB\nHugePages_Total:       0\n"
)
PROCESS = "812 (py (thon) x) S 1 812 812 0 -1 4194560 900 0 0 0 120 30 0 0 20 0 3 0 55123 123456789 2048 184467 1 1 0 0"


def test_every_gpu_is_read_with_its_units() -> None:
    first, second = parse_gpus(TWO)
    assert first == {
        "index": 0,
        "name": "NVIDIA A100-SXM4-40GB",
        "util": 97,
        "memory_used": 30521 << 20,
        "memory_total": 40960 << 20,
        "power_w": 312.45,
        "power_limit_w": 400,
        "temperature_c": 61,
    }
    assert (second["index"], second["util"], second["memory_used"]) == (1, 0, 4 << 20)


def test_units_of_the_head_hold_where_the_cells_have_none() -> None:
    assert parse_gpus(NO_UNITS)[0] == parse_gpus(TWO)[0]


def test_what_a_card_does_not_tell_is_left_out_and_never_a_zero() -> None:
    assert parse_gpus(LESS) == [
        {
            "index": 0,
            "name": "NVIDIA GeForce GTX 1080",
            "memory_used": 512 << 20,
            "memory_total": 8192 << 20,
            "temperature_c": 44,
        }
    ]


def test_an_error_instead_of_a_table_is_no_gpu() -> None:
    assert parse_gpus("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n") == []
    assert parse_gpus("") == []
    assert parse_gpus("No devices were found\n") == []


def test_the_share_of_the_machine_lies_between_two_looks() -> None:
    before = parse_stat(STAT)
    assert before is not None
    assert (before.cores, before.total - before.busy) == (2, 8200)
    now = parse_stat(STAT.replace("cpu  1000", "cpu  1300").replace("8000 200", "8100 200"))
    assert busy_share(before, now) == 0.75
    assert busy_share(None, now) is None
    assert busy_share(now, now) is None


def test_memory_that_can_be_given_back_counts_as_free() -> None:
    assert parse_meminfo(MEMINFO) == (4096000 << 10, 24576000 << 10)
    assert parse_meminfo("nothing\n") is None


def test_a_process_with_brackets_in_its_name_is_read() -> None:
    assert parse_process(PROCESS) == (150, 2048)
    assert parse_process("") is None
