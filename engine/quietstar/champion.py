"""The model that phase 3 starts from: phase 2's champion (by file or from the registry), one of the hub's, or one made here.

    python -m engine.quietstar.champion --preset smoke
    python -m engine.quietstar.champion --preset cpu

Leaves phase2_champion_model.pt and tells the registry of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.protocol.layout import default_root
from engine.quietstar import loading, model_file
from engine.quietstar.errors import ModelFileError, edge
from engine.quietstar.names import CHAMPION, PHASE
from engine.quietstar.pretrain import pretrain
from engine.quietstar.tokens import make_room
from engine.registry.model import RegistryError, verify_file
from engine.registry.registry import Registry


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=PHASE, argv=argv)
    torch.set_num_threads(1)
    if cfg.champion.source == "scratch":
        return from_scratch(cfg, work_dir(PHASE, cfg))
    return taken(cfg, work_dir(PHASE, cfg))


def from_scratch(cfg: QuietstarConfig, out: Path) -> int:
    """Our own body, pre-trained on the state-tracking task."""
    made = pretrain(cfg.pretrain, cfg.seed)
    parameters = sum(p.numel() for p in made.body.parameters())
    about = {"made_by": "champion", "task": "state-tracking", "seed": cfg.seed, "parameters": parameters, **made.facts}
    model_file.save(out / CHAMPION, made.body, about)
    for name, value in (made.facts | {"parameters": parameters}).items():
        runlog.fact(f"champion/{name}", value)
    runlog.artifact(out / CHAMPION)
    runlog.model(f"phase2-champion-{cfg.preset}", "champion", out / CHAMPION, about)
    print(f"{CHAMPION}: {parameters:,} parameters; " + ", ".join(f"{k} {v:.3f}" for k, v in made.facts.items()))
    return 0


def taken(cfg: QuietstarConfig, out: Path) -> int:
    """A model that is there already, kept in the work folder with where it came from."""
    asked = cfg.champion
    if asked.source == "hub":
        loaded, parents = loading.from_hub(asked), []
        # here, where it is known which tokens are new; the file keeps a tokenizer that has them all
        rows = torch.Generator().manual_seed(cfg.seed)
        make_room(loaded.model, loaded.language.size, rows, cfg.bake.grow_vocabulary, loaded.language.fresh)
    else:
        path = Path(asked.name).expanduser() if asked.source == "file" else registered(asked.name)
        loaded, parents = loading.load(path, "champion"), [model_file.sha256(path)]
    about = loaded.about | {"made_by": "champion", "parameters": loaded.parameters, "parents": parents}
    loading.save(out / CHAMPION, loaded.model, loaded.language, about)
    runlog.fact("champion/parameters", loaded.parameters)
    runlog.artifact(out / CHAMPION)
    runlog.model(f"phase2-champion-{cfg.preset}", "champion", out / CHAMPION, about)
    print(f"{CHAMPION}: {loaded.parameters / 1e6:.1f}M parameters, from {asked.source} {asked.name}".rstrip())
    return 0


def registered(word: str) -> Path:
    """The file of a model in the registry, verified by its hash; without a word the champion of phase 2."""
    file = default_root() / "registry.db"
    if not file.exists():
        raise ModelFileError(
            f"there is no registry at {file}: name a file (champion.source: file), or train phase 2 first"
        )
    registry = Registry(file)
    try:
        model = registry.model(word) if word else registry.champion("phase2")
        if model is None:
            raise ModelFileError(
                "phase 2 has no champion in the registry: promote a model, or name one in champion.name"
            )
        found = verify_file(model)
        if not found.ok:
            raise ModelFileError(f"{model.model_id} can't be started from: {found.because}")
        return Path(model.path)
    except RegistryError as error:
        raise ModelFileError(str(error)) from None
    finally:
        registry.close()


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
