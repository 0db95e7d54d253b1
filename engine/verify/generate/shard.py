"""One engine that serves `shards.py` over its standard input and output.

    python -m engine.verify.generate.shard

Both ends are ours: pickled messages. First the config, then lists of units; out goes (place, completions) as each gets ready,
or a `StepFailed` that ends it.
"""

from __future__ import annotations

import os
import pickle
import signal

from engine.config.verify import Generate
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Unit
from engine.verify.sandbox import frames
from engine.verify.step import StepFailed

_MAX_MESSAGE = 1 << 30


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    into, out = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what an engine prints must not stand among our messages
    try:
        cfg: Generate = pickle.loads(frames.receive(into, _MAX_MESSAGE))
        generator = open_generator(cfg)
        while True:
            units: list[Unit] = pickle.loads(frames.receive(into, _MAX_MESSAGE))
            places = {unit.name: at for at, unit in enumerate(units)}
            for unit, completions in generator.generate(units):
                frames.send(out, pickle.dumps((places[unit.name], completions)))
    except StepFailed as error:
        frames.send(out, pickle.dumps(error))
    except frames.Closed:
        pass


if __name__ == "__main__":
    main()
