"""`fractal-console instances …` on a terminal: asks the person, tells progress on stderr, prints the table or JSON.

    from console.rental.terminal import run_verb
    code = run_verb(arguments, unverified)       # unverified(entry): required files of that machine not verified here

Where nobody sits at the terminal every question is answered with no (`console.hosts.person`).
"""

from __future__ import annotations

import argparse
import os

from console.hosts.person import agree, at_the_terminal, say
from console.rental.actions import act
from console.rental.desk import Unverified, open_desk
from console.verbs.common import print_json
from console.words import table
from remote.cloud.cloud_paths import CloudPaths


def run_verb(arguments: argparse.Namespace, unverified: Unverified) -> int:
    """One sub-verb from parsed arguments to its exit code."""
    with open_desk(
        CloudPaths.default(), os.environ, unverified, agree=agree, say=say, person=at_the_terminal()
    ) as desk:
        shown = act(arguments, desk)
    if arguments.json:
        print_json(shown.data)
        return shown.code
    print(table(shown.rows, shown.columns if any(shown.columns) else ()))
    if shown.note:
        print(shown.note)
    return shown.code
