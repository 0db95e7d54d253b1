"""What the guard on a machine has saved before it ends it: everything required, the last checkpoint of what still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from console.rental.launches import save_command
from engine.protocol.spec import Output
from engine.supervisor.save import save
from remote.local_host import LocalHost
from tests.live import Specs, wait_final, wait_in_log


def test_required_files_are_copied_and_verified(host: LocalHost, specs: Specs, tmp_path: Path) -> None:
    spec = specs.sh('echo weights > "$FRACTAL_WORK/model.pt"', outputs=[Output("model.pt")])
    host.launch(spec)
    wait_final(host.root.run(spec.run_id))
    done = subprocess.run(
        ["sh", "-c", save_command(str(host.root.path), str(tmp_path / "nfs")).replace("python3", sys.executable)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "nfs/phase0/cpu/model.pt").read_text() == "weights\n"


def test_a_copy_that_was_changed_is_made_again(host: LocalHost, specs: Specs, tmp_path: Path) -> None:
    spec = specs.sh('echo weights > "$FRACTAL_WORK/model.pt"', outputs=[Output("model.pt")])
    host.launch(spec)
    wait_final(host.root.run(spec.run_id))
    assert save(host.root, tmp_path / "nfs") == 0
    (tmp_path / "nfs/phase0/cpu/model.pt").write_text("other")
    assert save(host.root, tmp_path / "nfs") == 0
    assert (tmp_path / "nfs/phase0/cpu/model.pt").read_text() == "weights\n"


def test_a_place_that_can_not_be_written_is_said_and_is_no_success(
    host: LocalHost, specs: Specs, tmp_path: Path, capsys: object
) -> None:
    spec = specs.sh('echo weights > "$FRACTAL_WORK/model.pt"', outputs=[Output("model.pt")])
    host.launch(spec)
    wait_final(host.root.run(spec.run_id))
    (tmp_path / "nfs").write_text("a file where a folder should be")
    assert save(host.root, tmp_path / "nfs") == 1


def test_what_still_runs_is_asked_for_a_checkpoint_which_is_saved(
    host: LocalHost, specs: Specs, tmp_path: Path
) -> None:
    script = (
        """trap 'echo state > "$FRACTAL_WORK/last.ckpt"; """
        """echo "{\\"kind\\":\\"checkpoint\\",\\"path\\":\\"last.ckpt\\"}" >> "$FRACTAL_EVENTS"' USR2; """
        "echo ready; while :; do sleep 0.05; done"
    )
    spec = specs.sh(script)
    host.launch(spec)
    wait_in_log(host.root.run(spec.run_id), b"ready")
    assert save(host.root, tmp_path / "nfs") == 0
    assert (tmp_path / "nfs/phase0/cpu/last.ckpt").read_text() == "state\n"
    host.stop(spec.run_id, "tester", grace_s=0)
