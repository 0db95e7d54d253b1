"""The words of `fractal-console instances VERB …`. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse

from engine.protocol.plan import ON_CAP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every sub-verb of `fractal-console instances`."""
    verbs = parser.add_subparsers(dest="instance_verb", metavar="VERB", required=True)
    made = {verb: verbs.add_parser(verb, help=about, description=f"{about}.") for verb, about in _ABOUT.items()}
    for sub in made.values():
        sub.add_argument("--json", action="store_true", help="for programs")
    made["types"].add_argument("word", nargs="?", default="", help="a word of the type's name, such as a100")
    for verb in ("wait", "setup-ssh", "terminate", "extend", "forget", "arm", "ps", "ssh", "save"):
        made[verb].add_argument("name", help="the instance's name")
    for verb in ("launch", "setup-ssh", "forget", "arm"):
        made[verb].add_argument("--yes", action="store_true", help="agree without a question")
    _launch_arguments(made["launch"])
    made["wait"].add_argument("--deadline-minutes", type=float, default=20.0)
    made["setup-ssh"].add_argument("--user", default="ubuntu", help="the user of the image")
    made["setup-ssh"].add_argument("--identity", help="the private key to log in with")
    made["setup-ssh"].add_argument(
        "--new-host-key", metavar="SHA256:…", help="accept this host key in the old one's place"
    )
    made["arm"].add_argument("--save-to", default="", metavar="FOLDER", help=_SAVE_TO)
    made["terminate"].add_argument(
        "--lose-files", metavar="NAME", help="the name once more: end it with unverified files"
    )
    _sweep_arguments(made["sweep"])
    made["adopt"].add_argument("id", help="the instance's id")
    made["adopt"].add_argument("--max-hours", type=float, default=4.0, help="from now, where its tags say nothing")
    made["extend"].add_argument("--hours", type=float, help="more hours; the dollars grow with them")
    made["extend"].add_argument("--max-usd", type=float, help="the new cap in dollars")


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Of the verb `sweep` by itself."""
    parser.add_argument("--json", action="store_true", help="for programs")
    _sweep_arguments(parser)


def _sweep_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--ignore-foreign", action="store_true", help="machines of others are well")
    sub.add_argument("--terminate-overdue", action="store_true", help="end what is over its own lease")


def _launch_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("type", help="a type, or a word of its name: a100")
    sub.add_argument("--name", help="what to call it (default: the type as given)")
    sub.add_argument("--max-hours", type=float, help="default 4")
    sub.add_argument("--max-usd", type=float, help="default: what the hours cost")
    sub.add_argument("--idle-minutes", type=float, default=30.0, help="end it after so long without use; 0: never")
    sub.add_argument("--on-cap", default="save-then-terminate", choices=ON_CAP)
    sub.add_argument("--grace-minutes", type=float, default=10.0, help="how long saving may take")
    sub.add_argument("--region")
    sub.add_argument("--ssh-key", help="the account's key to put on it (default: the one of this computer)")
    sub.add_argument("--file-system", action="append", help="mount this file system; its region decides")
    sub.add_argument("--image", help="an image family")
    sub.add_argument("--guard-on-instance", action="store_true", help="also install the guard on the machine itself")
    sub.add_argument("--save-to", default="", metavar="FOLDER", help=_SAVE_TO)
    sub.add_argument("--wait", action="store_true", help="until a login works")


_SAVE_TO = "a folder on its file system: where its own guard saves to before it ends the machine"


_ABOUT = {
    "types": "what can be rented: price, GPUs, regions with capacity now",
    "list": "what is rented: state, cost so far, caps",
    "launch": "rent a machine, with caps",
    "wait": "wait until a login works, stage by stage",
    "setup-ssh": "make `ssh NAME` work, with the machine's own host key",
    "terminate": "end a machine; refused while required files are not verified here",
    "sweep": "compare the account with the ledger; exit code 1 if something burns unseen",
    "adopt": "take a running machine under guard",
    "extend": "more hours or dollars for a machine",
    "forget": "close an entry that this key can't see",
    "ps": "what runs on a machine, and its nvidia-smi",
    "ssh": "a shell on a machine, by its pinned host key",
    "save": "stop what runs there and bring everything required here, verified; exit code 0: all is safe",
    "arm": "put the guard and the API key on the machine itself",
}
