"""The launcher line of a distributed step: `run: torchrun -m engine.ouroboros.train …` with `gpus: 4`. Pure.

One node meets itself (`--standalone`). Several are started by `srun`, one agent a node, and meet by c10d on the first node's
address. Rank 0 writes the run's `log`, rank n `log.rank<n>` beside it; the first rank that fails ends the others, which is
torchrun's own rule. What the line says itself (`--nproc-per-node 2`) stands.
"""

from __future__ import annotations

from collections.abc import Sequence

_FLAGS = frozenset(["--standalone", "--no-python", "--no_python", "--run-path", "--run_path", "-m", "--module"])

# Before it becomes the command, each rank but the first turns its output to a log of its own.
_OWN_LOG = '[ "$RANK" = 0 ] || exec >>"$FRACTAL_LOG.rank$RANK" 2>&1; exec "$@"'

# Slurm names the nodes; the job's number makes a port that two jobs on one node do not share.
_MEET = (
    'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1); '
    'address=$(scontrol show node "$head" | sed -n "s/.*NodeAddr=\\([^ ]*\\).*/\\1/p"); '
    'export MEET="${address:-$head}:$((20000 + SLURM_JOB_ID % 20000))"; '
    'exec srun --ntasks-per-node=1 --kill-on-bad-exit=1 "$@"'
)
_AGENT = 'exec torchrun --rdzv-endpoint="$MEET" "$@"'


def is_distributed(argv: Sequence[str]) -> bool:
    return bool(argv) and argv[0].rsplit("/", 1)[-1] == "torchrun"


def torchrun_line(argv: Sequence[str], gpus: int, nodes: int, run_id: str) -> list[str]:
    """The whole command."""
    options, command = _parted(argv)
    options = [*_ranks(options, gpus), *options, "--no-python"]
    told = ["/bin/sh", "-c", _OWN_LOG, "rank", *command]
    if nodes == 1:
        meet = [] if _says(options, "rdzv-endpoint") or _says(options, "standalone") else ["--standalone"]
        return [argv[0], *meet, *options, *told]
    meet = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-id={run_id}"]
    agent = ["/bin/sh", "-c", _AGENT, "torchrun", *meet, *options, *told]
    return ["/bin/sh", "-c", _MEET, "meet", f"--nodes={nodes}", *agent]


def _parted(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """torchrun's own options, and the command that a rank is: a script and a module are python's."""
    options: list[str] = []
    at, kind = 1, "script"
    while at < len(argv) and argv[at].startswith("-"):
        word = argv[at]
        if word in ("-m", "--module"):
            kind = "module"
        elif word in ("--no-python", "--no_python"):
            kind = "program"
        else:
            options.append(word)
            if word not in _FLAGS and "=" not in word:
                at += 1
                options.append(argv[at] if at < len(argv) else "")
        at += 1
    before = {"script": ["python"], "module": ["python", "-m"], "program": []}[kind]
    return options, [*before, *argv[at:]]


def _ranks(options: Sequence[str], gpus: int) -> list[str]:
    return [] if _says(options, "nproc-per-node") else [f"--nproc-per-node={max(1, gpus)}"]


def _says(options: Sequence[str], name: str) -> bool:
    return any(o.lstrip("-").split("=")[0].replace("_", "-") == name for o in options)
