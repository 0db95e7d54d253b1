"""The program in answers as Qwen2.5-Coder and deepseek-coder write them."""

import pytest

from engine.verify.generate.extract import program_in

_ADD = "def add(a, b):\n    return a + b\n"

_ANSWERS = {
    "qwen: a sentence, a fence, an explanation": (
        f"Here's a Python function that adds two numbers:\n\n```python\n{_ADD}```\n\nThis function takes `a` and `b`."
    ),
    "qwen: a fence, then a usage example in another": (
        f"```python\n{_ADD}```\n\nExample usage:\n\n```python\nprint(add(1, 2))\n```\nOutput:\n```\n3\n```"
    ),
    "qwen: a first try and a better one": (
        f"```python\ndef add(a, b):\n    return a\n```\nWait, that is wrong. Corrected:\n```python\n{_ADD}```"
    ),
    "deepseek: no fence, prose after": f"{_ADD}\nThis function returns the sum of a and b.",
    "deepseek: prose before, no fence": f"Sure! The code is:\n{_ADD}",
    "deepseek: fence without a language": f"```\n{_ADD}```",
    "deepseek: carriage returns": f"```python\n{_ADD}```".replace("\n", "\r\n"),
    "cut before the fence closes": f"Sure.\n```python\n{_ADD}",
    "prefilled fence: the answer begins with code": f"{_ADD}```\n\nExplanation: it adds.",
    "capital language name": f"```Python\n{_ADD}```",
}


@pytest.mark.parametrize("style", _ANSWERS)
def test_the_function_is_found(style):
    code = program_in(_ANSWERS[style], "add")
    space = {}
    exec(code, space)
    assert space["add"](2, 3) == 5


def test_helpers_and_imports_of_a_block_stay_with_it():
    answer = "```python\nimport math\n\ndef half(x):\n    return x / 2\n\ndef area(r):\n    return half(math.pi)\n```"
    assert program_in(answer, "area").startswith("import math")


def test_a_bare_body_goes_on_where_the_prompt_ends():
    prompt = 'def add(a, b):\n    """Add."""\n'
    code = program_in("    return a + b\n\ndef other():\n    pass\n", "add", prompt)
    assert code == prompt.rstrip("\n") + "\n    return a + b\n"


def test_a_body_that_lost_its_indentation_gets_it_back():
    prompt = "def add(a, b):\n"
    assert "    return a + b" in program_in("return a + b", "add", prompt)


def test_an_answer_without_code_stays_as_it_is():
    assert program_in("I can't do that.", "add") == "I can't do that.\n"
