"""The verb `settings`: what holds, where it is written, whether it is sound, and the ids that a keymap may name."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from console.keys import ids, keys_of, spoken
from console.settings import as_yaml, load_settings, settings_file
from console.verbs.common import print_json
from console.words import table
from engine.protocol.layout import default_root


def settings(arguments: argparse.Namespace) -> int:
    file = settings_file(default_root())
    if arguments.action == "path":
        print(file)
        return 0
    chosen = load_settings(default_root())
    if arguments.action == "keys":
        return _keys(chosen.keymap, arguments.json)
    if arguments.action == "check":
        print(f"{file} is sound" if file.exists() else f"{file} does not exist: the defaults hold")
        return 0
    if arguments.json:
        print_json({"file": str(file), "exists": file.exists(), "settings": asdict(chosen)})
        return 0
    note = "" if file.exists() else f" (does not exist; to begin: fractal-console settings > {file})"
    print(f"# {file}{note}" if sys.stdout.isatty() else "# fractal-console: settings")
    print(as_yaml(chosen), end="")
    return 0


def _keys(keymap: dict[str, str], as_json: bool) -> int:
    """Every id of the table of keys with the key that holds."""
    found = []
    for name in ids():
        screen = name.partition(".")[0]
        key = next(k for k in keys_of(screen, keymap) if f"{screen}.{k.slug}" == name)
        found.append({"id": name, "key": key.key, "words": key.words, "changes": key.changes, "yours": name in keymap})
    if as_json:
        print_json(found)
        return 0
    rows = [[str(f["id"]), spoken(str(f["key"])), str(f["words"]), "yours" if f["yours"] else ""] for f in found]
    print(table(rows, ["id", "key", "does", ""]))
    return 0
