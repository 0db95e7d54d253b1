"""Where the screen has its machines from: an account, a ledger, a guard. The user's own, or a fake one for `--demo`.

    with office.desk(say) as desk: table = act(words("list"), desk)     # in a worker: it blocks

Every action is the verb `instances …` itself, from the same words.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from console.rental.actions import act
from console.rental.arguments import add_arguments
from console.rental.desk import Desk, Unverified, open_desk
from console.verbs.model_tables import Table
from engine.protocol.layout import Root
from remote.cloud.cloud_paths import CloudPaths


@dataclass(frozen=True)
class Office:
    """An account as the screen uses it."""

    paths: CloudPaths
    unverified: Unverified
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    more: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of its desks: a clock, a way to start guards."""
    is_demo: bool = False

    def desk(self, say: Callable[[str], None]) -> AbstractContextManager[Desk]:
        return open_desk(self.paths, self.environ, self.unverified, say=say, **self.more)

    def do(self, typed: Sequence[str], say: Callable[[str], None] = lambda words: None) -> Table:
        """One verb; blocks."""
        with self.desk(say) as desk:
            return act(words(typed), desk)


def words(typed: Sequence[str]) -> argparse.Namespace:
    """`instances …` as it would be typed."""
    parser = argparse.ArgumentParser(prog="instances")
    add_arguments(parser)
    return parser.parse_args(list(typed))


def own_office(root: Root) -> Office:
    from console.verbs.instances import unverified

    return Office(CloudPaths(root.path / "cloud"), lambda entry: unverified(entry, root))


@contextmanager
def demo_office(root: Root) -> Iterator[Office]:
    """A fake Lambda Cloud inside this process, with a guard of its own: no money, no machines, gone with the console."""
    from remote.cloud.account import open_account
    from remote.cloud.fake_account import DEMO_KEY, FakeAccount
    from remote.cloud.fake_lambda import FakeLambda
    from remote.cloud.guard import Watch, watch
    from remote.cloud.guard_look import Hooks

    with FakeLambda(FakeAccount(boot_s=15.0, terminating_s=5.0)) as fake:
        environ = {**os.environ, "FRACTAL_LAMBDA_URL": fake.url, "LAMBDA_API_KEY": DEMO_KEY}
        office = replace(own_office(root), environ=environ, is_demo=True)
        todo = Watch(office.paths, lambda: open_account(office.paths, environ), Hooks(), every_s=5.0)
        guards: list[threading.Thread] = []

        def start_guard() -> None:
            if not guards:
                guards.append(threading.Thread(target=watch, args=(todo,), daemon=True, name="demo-guard"))
                guards[0].start()

        yield replace(office, more={"start_guard": start_guard})
