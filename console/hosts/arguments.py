"""The words of `fractal-console hosts`, `sync` and `pull`. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse


def add_hosts_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-verbs of `hosts`."""
    parser.add_argument("--json", action="store_true", help="for programs")
    verbs = parser.add_subparsers(dest="host_verb", metavar="VERB")
    listing = verbs.add_parser("list", help="every host that has a name")
    add = verbs.add_parser("add", help="name a machine that ssh reaches")
    add.add_argument("name")
    add.add_argument("--ssh", default="", help="an alias of ~/.ssh/config, or user@host:port")
    add.add_argument("--root", default="~/.fractal", help="where everything lies there (a disk that outlives it)")
    add.add_argument("--before", default="", help="a shell command that comes first: source ~/.local/bin/env")
    add.add_argument("--workdir", default="", help="the folder to begin in: ~/Fractal")
    add.add_argument("--env", default="", help="an existing virtual environment there")
    add.add_argument("--kind", choices=("ssh", "slurm"), default="ssh", help="slurm: its runs are handed to sbatch")
    add.add_argument("--sbatch", default="", metavar="OPTIONS", help="--sbatch='--partition=gpu --time=8:00:00'")
    add.add_argument("--untried", action="store_true", help="write it down without logging in")
    gone = verbs.add_parser("remove", help="forget a name")
    gone.add_argument("name")
    look = verbs.add_parser("ps", help="what runs on a machine, and its nvidia-smi")
    shell = verbs.add_parser("ssh", help="a shell on a machine")
    for sub in (look, shell):
        sub.add_argument("name")
    for sub in (listing, add, gone, look, shell):
        # Without a default of its own: it would take back what was said before the sub-verb.
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="for programs")


def add_sync_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", help="a name of `fractal-console hosts`")
    parser.add_argument("path", nargs="?", help="the folder; this one where none is named")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be sent")
    parser.add_argument("--json", action="store_true", help="for programs")


def add_pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run or a plan: its id, a part of it, or `last`")
    parser.add_argument("--required", action="store_true", help="only what the phase file marks as required")
    parser.add_argument("--json", action="store_true", help="for programs")
