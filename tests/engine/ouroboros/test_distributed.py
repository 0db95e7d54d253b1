from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from engine.ouroboros import checkpoint, train
from tests.engine.ouroboros.tiny import TINY, tiny

ROOT = Path(__file__).parents[3]
CHILD = """
import sys
from pathlib import Path
from engine.config.load import check
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import train
import json
sys.exit(train.train(check(OuroborosConfig, json.loads(sys.argv[2]), "child"), Path(sys.argv[1])))
"""


def test_two_processes_train_as_one(prepared: Path, tmp_path: Path) -> None:
    """torchrun's environment, gloo: equal shares of each batch, mean gradients, so the same weights up to rounding."""
    import json

    assert train.train(tiny(), prepared) == 0
    alone = checkpoint.load(prepared / "best.pt")["model"]
    (prepared / "ckpt.pt").unlink()
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 2000)}
    environment |= {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHILD, str(prepared), json.dumps(TINY)]
    ranks = [
        subprocess.Popen(command, env=environment | {"RANK": str(r), "LOCAL_RANK": str(r)}, stderr=subprocess.PIPE)
        for r in (0, 1)
    ]
    said = [p.communicate(timeout=120)[1].decode() for p in ranks]
    assert [p.returncode for p in ranks] == [0, 0], said
    together = checkpoint.load(prepared / "best.pt")["model"]
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, atol=2e-3, rtol=0)
