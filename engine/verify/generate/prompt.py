"""What a model is asked. A change here changes the parameters' hash, so that old generations are refused, not mixed in."""

from __future__ import annotations

from engine.verify.problems.problem import Problem

TEMPLATE = 2  # raise with every change of the words below


def prompt_for(problem: Problem, visible_tests: int) -> str:
    """The user's words: the task, the name, and as many tests as the config shows."""
    if problem.task_id.startswith("humaneval/"):
        ask = "Complete this Python function. Answer with the whole function in one code block."
        return f"{ask}\n\n```python\n{problem.text}```\n"
    if problem.tests.stdin:
        return f"{problem.text}\n\nWrite a Python program that reads standard input and prints the answer. One code block only.\n"
    words = [problem.text.strip()]
    if problem.entry_point:
        words.append(f"The function must be called `{problem.entry_point}`.")
    if visible_tests and problem.visible:
        shown = "\n".join(problem.visible[:visible_tests])
        words.append(f"It must satisfy, for example:\n```python\n{shown}\n```")
    words.append("Answer with Python code in one code block.")
    return "\n\n".join(words)


def second_prompt(problem: Problem, visible_tests: int, attempt: str, feedback: str, energy: float) -> str:
    """The task again, with an attempt, what the visible tests said of it and what the critic thinks."""
    doubt = "probably wrong" if energy > 0.5 else "possibly right"
    return (
        f"{prompt_for(problem, visible_tests)}\n\nAn earlier attempt, which a reviewer finds {doubt}:\n"
        f"```python\n{attempt}```\n{feedback}\nWrite a corrected program."
    )
