from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from remote.cloud.locked_file import rewrite
from remote.ssh.pins import CONFIRMED, INJECTED, Pins, new_host_key

CHECKOUT = Path(__file__).parents[3]


def test_two_consoles_that_pin_at_once_lose_no_pin(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    program = (
        "import sys\nfrom pathlib import Path\nfrom remote.ssh.pins import Pins, new_host_key\n"
        "for n in range(25):\n"
        "    Pins(Path(sys.argv[1])).put(f'{sys.argv[2]}{n}', new_host_key().public, 'injected')\n"
    )
    argv = [sys.executable, "-c", program, str(file)]
    writers = [subprocess.Popen([*argv, word], cwd=CHECKOUT) for word in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(file.read_text().splitlines()) == 50


def test_a_pin_is_replaced_and_forgotten(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "known_hosts")
    first, second = new_host_key().public, new_host_key().public
    pins.put("u1", first, INJECTED)
    pins.put("u2", first, INJECTED)
    pins.put("u1", second, CONFIRMED)
    pin = pins.get("u1")
    assert pin
    assert (pin.public, pin.origin) == (second, CONFIRMED)
    pins.forget("u1")
    assert pins.get("u1") is None
    assert pins.get("u2") is not None


def test_a_change_that_changes_nothing_leaves_the_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    rewrite(file, lambda text: "one\n")
    before = file.stat().st_ino
    rewrite(file, lambda text: text)
    assert file.stat().st_ino == before


def test_what_is_made_is_closed_to_others(tmp_path: Path) -> None:
    rewrite(tmp_path / "new" / "file", lambda text: "secret\n")
    assert (tmp_path / "new" / "file").stat().st_mode & 0o077 == 0
