"""What a host is asked for, as commands: `python3 -S -m engine.supervisor VERB …`, run from the folder that holds `engine`.

    start ROOT RUN      claim the run and carry it to its end, detached; answers when it is claimed
    attend ROOT RUN     the same in the foreground, as the body of a Slurm job; ends with the command's exit code
    stop ROOT RUN …     see `ops.stop`
    plan ROOT PLAN      execute a plan, detached
    save ROOT FOLDER    copy what must not be lost and verify it; exit code 0: all of it is safe

Standard library only: the stock python3 of a rented box runs it before any environment exists.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from engine.protocol.layout import Root


def main(argv: list[str]) -> int:
    if len(argv) != 3 or argv[0] not in ("start", "attend", "end-orphan", "plan", "save"):
        print(__doc__, file=sys.stderr)
        return 2
    verb, root, name = argv[0], Root(Path(argv[1])), argv[2]
    if verb == "save":
        from engine.supervisor.save import save

        return save(root, Path(name))
    if verb == "attend":
        return attend(root, name)
    if verb == "start":
        return detach(root.run(name).supervisor_output, lambda tell: start(root, name, tell))
    if verb == "end-orphan":
        return detach(root.run(name).supervisor_output, lambda tell: end_orphan(root, name, tell))
    return detach(root.plan(name).output, lambda tell: plan(root, name, tell))


def start(root: Root, run_id: str, tell: Callable[[str], None]) -> None:
    from engine.supervisor.supervise import claim, supervise

    won = claim(root.run(run_id))
    tell("claimed" if won else "already claimed")
    if won:
        supervise(root, run_id)


def attend(root: Root, run_id: str) -> int:
    from engine.protocol.durable import read_json
    from engine.supervisor.slurm import take_over
    from engine.supervisor.supervise import claim, supervise

    paths = root.run(run_id)
    attempt = take_over(paths)
    if not claim(paths):
        print("already claimed")
        return 0
    supervise(root, run_id, attempt)
    end = read_json(paths.result) or {}
    code = (read_json(paths.exit) or {}).get("code")
    return 0 if end.get("state") == "succeeded" else code or 1


def end_orphan(root: Root, run_id: str, tell: Callable[[str], None]) -> None:
    from engine.supervisor.orphans import end

    tell("ending")
    end(root.run(run_id))


def plan(root: Root, plan_id: str, tell: Callable[[str], None]) -> None:
    from engine.supervisor.execute import execute

    execute(root, plan_id, tell)


def detach(output: Path, work: Callable[[Callable[[str], None]], None]) -> int:
    """Do the work in a process of its own session that nobody waits for; return when it has told how it began."""
    listen, speak = os.pipe()
    child = os.fork()
    if child:
        os.close(speak)
        word = b""
        while piece := os.read(listen, 4096):
            word += piece
        os.waitpid(child, 0)
        print(word.decode() or f"it died at once; see {output}")
        return 0 if word else 1
    os.close(listen)
    os.setsid()
    if os.fork():
        os._exit(0)
    _leave_terminal(output)

    def tell(word: str) -> None:
        os.write(speak, word.encode())
        os.close(speak)

    code = 1
    try:
        work(tell)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _leave_terminal(output: Path) -> None:
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
