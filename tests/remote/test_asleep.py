"""A laptop that sleeps for an hour: nothing moves here, everything goes on there."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.protocol.status import observe
from remote.mirror import Mirror
from tests.live import Specs, log_of, wait_final
from tests.polling import until
from tests.remote.box import Box
from tests.remote.delay import Proxy


def test_after_an_hour_of_sleep_a_run_is_caught_up_with(
    box: Box, root: Root, tmp_path: Path, specs: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asleep: no byte passes, the clock goes on, the connection is found dead when it wakes up."""
    monkeypatch.setattr("remote.helper_session.DEADLINE_S", 1.0)
    spec = specs.sh('echo before; while [ ! -e "$FRACTAL_WORK/go" ]; do sleep 0.02; done; echo meanwhile')
    clock = [1_000_000.0]
    with Proxy(box.server.port) as proxy:
        host = box.host(root.path, proxy.port)
        host.launch(spec)
        with Mirror(Root(tmp_path / "here").run(spec.run_id), "box", now=lambda: clock[0]) as mirror:
            host.follow(spec.run_id, mirror)
            until(
                lambda: log_of(mirror.paths) == b"before\n" and mirror.status and mirror.status.state == "running", "it"
            )
            proxy.silent = True
            (specs.folder / "go").touch()
            wait_final(root.run(spec.run_id))
            clock[0] += 3600
            asleep = observe(mirror.paths, clock[0])
            assert (asleep.state, "not heard of for 60 min on box" in asleep.reason) == ("running", True)
            proxy.silent = False
            proxy.cut()
            assert mirror.complete.wait(20)
            assert log_of(mirror.paths) == b"before\nmeanwhile\n"
            assert observe(mirror.paths, clock[0]).state == "succeeded"
        host.close()
