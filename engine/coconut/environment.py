"""Write down what this machine runs: the facts that say which versions made every later number.

python -m engine.coconut.environment --preset cpu
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from engine import runlog
from engine.coconut.errors import said_once
from engine.config.coconut import PHASE, CoconutConfig
from engine.config.errors import ConfigError
from engine.config.load import load_config

PACKAGES = ("torch", "transformers", "numpy", "tokenizers", "tiktoken", "pydantic")


def main(argv: list[str]) -> None:
    cfg = load_config(CoconutConfig, PHASE, argv)
    found = {name: version_of(name) for name in PACKAGES}
    for name, said in found.items():
        runlog.fact(f"version/{name}", said or "absent")
        print(f"{name} {said or 'absent'}")
    runlog.fact("version/python", platform.python_version())
    runlog.fact("environment/complete", all(found.values()))
    check_device(cfg)


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_device(cfg: CoconutConfig) -> None:
    """The device that the preset names must be here."""
    import torch

    cuda = torch.cuda.is_available()
    runlog.fact("environment/gpu", torch.cuda.get_device_name() if cuda else "none")
    if cfg.device == "cuda" and not cuda:
        raise ConfigError(
            f"preset {cfg.preset} wants a GPU and torch {torch.__version__} sees none; take another host or preset cpu"
        )


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
