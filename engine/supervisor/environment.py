"""What a command finds in its environment: the host's own, the spec's, and the words that a program may ask for."""

from __future__ import annotations

import os

from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec
from engine.supervisor.slots import Slot


def environment(root: Root, paths: RunPaths, spec: RunSpec, slots: list[Slot]) -> dict[str, str]:
    """The host's environment, the spec's, and the words that a program may ask for."""
    env = {**os.environ, **spec.env}
    env["PATH"] = os.pathsep.join([*spec.path_prefix, env.get("PATH", os.defpath)])
    env.update(
        FRACTAL_RUN=spec.run_id,
        FRACTAL_SPEC=str(paths.spec),
        FRACTAL_EVENTS=str(paths.events),
        FRACTAL_LOG=str(paths.log),
        FRACTAL_WORK=spec.work,
        PYTHONUNBUFFERED="1",
        PYTHONPYCACHEPREFIX=str(root.pycache),  # the snapshot stays as it was hashed
    )
    gpus = [slot.name[3:] for slot in slots if slot.name.startswith("gpu")]
    if gpus:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return env
