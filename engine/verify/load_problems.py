"""Load the problems of a phase and keep what was used.

python -m engine.verify.load_problems --phase phase11-code-verifier --preset smoke
python -m engine.verify.load_problems --phase phase11-code-verifier --preset a100
"""

from __future__ import annotations

import collections

from engine import runlog
from engine.verify.problems import files, source
from engine.verify.step import begin, run


def main(argv: list[str]) -> None:
    step = begin(argv)
    names = list(dict.fromkeys(step.cfg.problems.source_of(part) for part in ("train", "test")))
    problems = [problem for name in names for problem in source.load(name, files.data_folder())]
    path = step.work / step.cfg.files.problems
    source.write(path, problems)
    seen = collections.defaultdict(set)
    for problem in problems:
        seen[problem.task_id].add(problem.split)
    for split in ("train", "validation", "test"):
        runlog.fact(f"problems/{split}", sum(p.split == split for p in problems))
    runlog.fact("problems/in_two_splits", sum(len(splits) > 1 for splits in seen.values()))
    runlog.fact(
        "problems/without_tests",
        sum(not (p.tests.asserts or p.tests.check or p.tests.calls or p.tests.stdin) for p in problems),
    )
    runlog.fact("problems/set_aside", sum(p.set_aside for p in problems))
    runlog.fact("problems/source", " and ".join(names))
    runlog.artifact(path)
    print(f"{len(problems)} problems of {' and '.join(names)}: {dict(collections.Counter(p.split for p in problems))}")


if __name__ == "__main__":
    run(main)
