"""The guard as a timer of the system, rendered as text: nothing is installed here.

The three look once a minute, so a restart of this computer or a killed guard costs a minute, not a night. A timer does not
see `LAMBDA_API_KEY` of a shell: it needs the key in the 0600 file.
"""

from __future__ import annotations

import shlex
from pathlib import Path


def render(kind: str, python: str, checkout: Path) -> str:
    """Text to install for `systemd`, `launchd` or `cron`, with the commands that install it as comments."""
    return {"systemd": _systemd, "launchd": _launchd, "cron": _cron}[kind](python, checkout)


_KEY = "The API key has to be in ~/.fractal/cloud/lambda.key (0600): a timer does not see LAMBDA_API_KEY of a shell."


def _systemd(python: str, checkout: Path) -> str:
    return f"""\
# ~/.config/systemd/user/fractal-guard.service
[Unit]
Description=fractal-console: end rented machines at their caps

[Service]
Type=oneshot
WorkingDirectory={_systemd_words(str(checkout))}
ExecStart={_quoted(python)} -m remote.cloud.guard --once --save-here
# Exit code 1 is "a person should look", 2 "could not tell": news, not a broken unit.
SuccessExitStatus=1 2
TimeoutStartSec=300
# What saves goes on when the look is over.
KillMode=process

# ~/.config/systemd/user/fractal-guard.timer
[Unit]
Description=fractal-console: look at rented machines every minute

[Timer]
OnBootSec=60
OnUnitActiveSec=60
AccuracySec=10

[Install]
WantedBy=timers.target

# {_KEY}
# Put the two parts into those files, then:
#   systemctl --user daemon-reload && systemctl --user enable --now fractal-guard.timer
#   loginctl enable-linger "$USER"      # also while nobody is logged in
"""


def _quoted(word: str) -> str:
    """One word of an ExecStart line: systemd reads double quotes, and `%` and `$` as its own."""
    return '"' + _systemd_words(word).replace("$", "$$") + '"'


def _systemd_words(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _launchd(python: str, checkout: Path) -> str:
    words = "".join(
        f"    <string>{_xml(word)}</string>\n" for word in (python, "-m", "remote.cloud.guard", "--once", "--save-here")
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!-- {_KEY}
     ~/Library/LaunchAgents/console.fractal.guard.plist
     launchctl bootstrap gui/$UID ~/Library/LaunchAgents/console.fractal.guard.plist -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>console.fractal.guard</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
  <key>WorkingDirectory</key>
  <string>{_xml(str(checkout))}</string>
  <key>StartInterval</key>
  <integer>60</integer>
</dict>
</plist>
"""


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cron(python: str, checkout: Path) -> str:
    # cron reads `%` as a line break.
    command = f"cd {shlex.quote(str(checkout))} && {shlex.quote(python)} -m remote.cloud.guard --once --save-here >/dev/null 2>&1"
    return f"# {_KEY} Add with: crontab -e\n* * * * * {command.replace('%', chr(92) + '%')}\n"
