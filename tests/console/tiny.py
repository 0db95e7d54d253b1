"""A project small enough for tests: two shell steps, a gate of every kind, presets with a file each."""

from __future__ import annotations

from pathlib import Path

PHASE = """
phase: phase1-tiny
title: A tiny phase
goal: |
  Show that **two steps** and a gate work.

  - quickly
steps:
  - step: make
    title: Make numbers
    run: sh make.sh {level}
    outputs: [rows.jsonl]
    estimate: {cpu: {minutes: 0.1, usd: 0.0}}
  - step: judge
    title: Judge them
    run: sh judge.sh {level}
    inputs: [rows.jsonl]
    grace_s: 1
gates:
  - gate: rows
    title: The rows are there
    after: make
    checks:
      - artifact rows.jsonl has rows >= 2
      - fact made/level >= 1
  - gate: verdict
    after: judge
    checks:
      - metric eval/accuracy > 0.9
      - manual: "it looks right"
"""

MAKE = r"""
echo making at level $1
printf '{"id":1}\n{"id":2}\n' > "$FRACTAL_WORK/rows.jsonl"
printf '{"kind":"fact","name":"made/level","value":%s}\n' "$1" >> "$FRACTAL_EVENTS"
for i in 1 2 3; do
  echo "step $i loss 0.$((9 - i))"
  printf '{"kind":"metric","step":%s,"values":{"train/loss":0.%s}}\n' $i $((9 - i)) >> "$FRACTAL_EVENTS"
done
printf '{"kind":"progress","done":3,"total":3,"unit":"rows"}\n' >> "$FRACTAL_EVENTS"
"""

JUDGE = r"""
echo judging
printf '{"kind":"metric","step":1,"values":{"eval/accuracy":0.9%s}}\n' "$1" >> "$FRACTAL_EVENTS"
[ -e "$FRACTAL_WORK/slow" ] && sleep 60
exit 0
"""


def make_project(folder: Path) -> Path:
    """Lay the tiny project into a folder."""
    (folder / "configs" / "phases").mkdir(parents=True)
    (folder / "configs" / "phase1-tiny").mkdir()
    (folder / "configs" / "phases" / "phase1-tiny.yaml").write_text(PHASE)
    for preset, level in (("smoke", 0), ("cpu", 5)):
        (folder / "configs" / "phase1-tiny" / f"{preset}.yaml").write_text(f"level: {level}\n")
    (folder / "make.sh").write_text(MAKE)
    (folder / "judge.sh").write_text(JUDGE)
    return folder
