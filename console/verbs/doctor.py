"""The verb `doctor`: one table of what this machine and its configuration can and can't do, and what mends it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from console.health.diagnosis import BROKEN, SIGNS, STYLES, diagnose, exit_code
from console.health.machine import look
from console.words import coloured, table


def doctor(arguments: argparse.Namespace) -> int:
    findings = diagnose(look())
    if arguments.json:
        print(json.dumps([asdict(f) for f in findings], indent=1))
        return exit_code(findings)
    rows = [[f"{SIGNS[f.state]} {f.what}", f.found, f.mend] for f in findings]
    print(table(rows, ["", "found", "what mends it"], [STYLES[f.state] for f in findings]))
    if exit_code(findings):
        wrong = ", ".join(dict.fromkeys(f.what for f in findings if f.required and f.state == BROKEN))
        print(coloured(f"\nbroken and needed: {wrong}", "red"))
    return exit_code(findings)
