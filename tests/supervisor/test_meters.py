"""Samples beside a run: from a fake `nvidia-smi` on the PATH, and never a wait for one that hangs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.layout import Root
from engine.supervisor.meters import SAMPLE_S, Meters
from remote.local_host import LocalHost
from tests.live import Specs, events_of
from tests.polling import until
from tests.protocol.test_meters import TWO


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the PATH; `nvidia-smi` in it is the test's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def fake(folder: Path, body: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def next_sample(meters: Meters, now: float) -> dict[str, Any]:
    meters.sample(now)
    return until(lambda: meters.sample(now + 10), "a sample")


def test_gpus_are_sampled_and_only_those_of_the_run_are_asked_for(smi: Path) -> None:
    fake(smi, f'echo "$@" > {smi}/asked; cat <<END\n{TWO}END')
    meters = Meters(os.getpgrp(), gpus=("0", "1"))
    sample = next_sample(meters, 100.0)
    assert [gpu["util"] for gpu in sample["gpus"]] == [97, 0]
    assert "-i 0,1" in (smi / "asked").read_text()
    meters.close()


def test_a_run_is_measured_without_a_gpu_too(smi: Path) -> None:
    fake(smi, "echo 'NVIDIA-SMI has failed'; exit 9")
    meters = Meters(os.getpgrp())
    sample = next_sample(meters, 100.0)
    assert "gpus" not in sample
    assert sample["run_memory"] > 1 << 20
    assert sample["run_cpu"] >= 0
    assert 0 < sample["memory_used"] < sample["memory_total"]
    assert sample["cores"] == os.cpu_count()
    meters.close()


def test_a_driver_that_hangs_holds_nothing_up_and_is_not_asked_twice(smi: Path) -> None:
    fake(smi, f"echo x >> {smi}/asked; exec sleep 60")
    meters = Meters(os.getpgrp())
    meters.sample(0.0)
    assert meters.sample(2.0) is None  # asked now
    until(lambda: (smi / "asked").exists(), "the fake to be asked")
    begun = time.monotonic()
    assert meters.sample(3.0) is None  # patient
    sample = meters.sample(60.0)  # patience is over: told without the GPU
    assert time.monotonic() - begun < 1
    assert sample is not None
    assert "gpus" not in sample
    assert len((smi / "asked").read_text().split()) == 1
    meters.close()


def test_no_sample_comes_before_its_time(smi: Path) -> None:
    fake(smi, "exit 1")
    meters = Meters(os.getpgrp())
    meters.sample(0.0)
    until(lambda: meters.sample(2.0), "the first sample")
    assert meters.sample(2.0 + SAMPLE_S - 0.1) is None
    meters.close()


def test_without_proc_and_nvidia_smi_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    meters = Meters(os.getpgrp(), proc=tmp_path)
    meters.sample(0.0)
    assert meters.sample(2.0) == {}


def test_a_live_runs_events_tell_what_it_uses(host: LocalHost, root: Root, specs: Specs, smi: Path) -> None:
    fake(smi, f"cat <<END\n{TWO}END")
    spec = specs.sh("sleep 30")
    host.launch(spec)
    file = root.run(spec.run_id).supervisor_events
    found = until(lambda: [e for e in events_of(file) if e["kind"] == "meters"], "a sample in the events")
    assert [gpu["temperature_c"] for gpu in found[0]["gpus"]] == [61, 31]
    host.stop(spec.run_id, "test", grace_s=0)
