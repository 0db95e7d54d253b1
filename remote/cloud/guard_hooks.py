"""What the guard's process uses to look into a machine and to have it saved.

Saving is a shell command of the user's or the console's choice (`python -m remote.cloud.guard --save CMD`), started in the
background with `FRACTAL_INSTANCE` set. Exit code 0 means that everything required is verified elsewhere. Its end is a
file, so a guard that was restarted, or one that looks by timer, still knows.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from remote.cloud.activity import Activity
from remote.cloud.cloud_models import Instance
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.guard_look import Hooks
from remote.cloud.ledger import Entry


def default_hooks(paths: CloudPaths, save_command: str) -> Hooks:
    """Look by SSH; save by command, if there is one."""
    save = SaveCommand(paths.saves, save_command)
    return Hooks(
        activity=lambda entry, instance: _look_inside(entry, instance, paths),
        ask_save=save.ask,
        unverified=save.unverified,
    )


def _look_inside(entry: Entry, instance: Instance, paths: CloudPaths) -> Activity | None:
    # Imported here: SSH costs a quarter of a second, and most looks of a timer find nothing rented.
    from remote.cloud.instance_login import look_inside

    return look_inside(entry, instance, paths)


@dataclass(frozen=True)
class SaveCommand:
    """The command and the folder where its ends are noted."""

    folder: Path
    command: str

    def _end(self, entry: Entry) -> Path:
        return self.folder / f"{entry.uuid}.exit"

    def ask(self, entry: Entry) -> None:
        """Start it and return; the sub-shell outlives this process."""
        if not self.command:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        end = self._end(entry)
        end.unlink(missing_ok=True)
        beside, log = shlex.quote(f"{end}.tmp"), shlex.quote(str(self.folder / f"{entry.uuid}.log"))
        script = f"( {self.command}\n) >>{log} 2>&1; echo $? >{beside}; mv {beside} {shlex.quote(str(end))}"
        subprocess.run(
            ["sh", "-c", 'sh -c "$0" </dev/null >/dev/null 2>&1 &', script],
            env=_told(entry),
            start_new_session=True,
            check=True,
        )

    def unverified(self, entry: Entry) -> list[str] | None:
        """Nothing after exit code 0; None while it runs or where there is no command."""
        try:
            code = self._end(entry).read_text().strip()
        except FileNotFoundError:
            return None
        return [] if code == "0" else [f"the save command ended with {code}: {self.folder / entry.uuid}.log"]


def _told(entry: Entry) -> dict[str, str]:
    """What a save command is told."""
    return {
        **os.environ,
        "FRACTAL_INSTANCE": entry.name,
        "FRACTAL_INSTANCE_ID": entry.instance_id or "",
        "FRACTAL_LAUNCH": entry.uuid,
    }
