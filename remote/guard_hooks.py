"""What the guard's process uses to look into a machine and to have it saved.

Saving is a shell command of the user's or the console's choice (`python -m remote.guard --save CMD`), started in the
background with `FRACTAL_INSTANCE` set. Exit code 0 means that everything required is verified elsewhere. Its end is a
file, so a guard that was restarted, or one that looks by timer, still knows.
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from remote.cloud_paths import CloudPaths
from remote.guard_look import Hooks
from remote.instance_login import environment_of, look_inside
from remote.ledger import Entry


def default_hooks(paths: CloudPaths, save_command: str) -> Hooks:
    """Look by SSH; save by command, if there is one."""
    save = SaveCommand(paths.saves, save_command)
    return Hooks(
        activity=lambda entry, instance: look_inside(entry, instance, paths),
        ask_save=save.ask,
        unverified=save.unverified,
    )


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
            env=environment_of(entry),
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
