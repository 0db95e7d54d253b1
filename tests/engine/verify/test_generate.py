"""Every backend keeps the same contract; a generation file knows what it was made with."""

import ast
import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from engine.verify.generate.contract import Sampling, units_of
from engine.verify.generate.mutate import restyle, slip
from engine.verify.generate.offline import OfflineGenerator
from engine.verify.generate.prompt import prompt_for
from engine.verify.generate.with_openai import OpenaiGenerator
from engine.verify.problems import own
from engine.verify.rows import Appender, params_path, read
from engine.verify.sandbox.pool import Pool
from engine.verify.step import StepFailed

_SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=12)


class _Server(BaseHTTPRequestHandler):
    """Answers as vLLM's own server would."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        one = {
            "message": {"content": f"seed {asked['seed']}"},
            "finish_reason": "stop",
            "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -0.25}]},
        }
        body = json.dumps({"choices": [one] * asked["n"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    http = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(params=["offline", "transformers", "openai"])
def generator(request):
    if request.param == "offline":
        return OfflineGenerator()
    if request.param == "openai":
        return OpenaiGenerator(request.getfixturevalue("server"), "any", _SAMPLING)
    from engine.verify.generate.with_transformers import TransformersGenerator

    return TransformersGenerator(str(request.getfixturevalue("tiny_model")), None, _SAMPLING)


def units(n=3, chunk=2, seed=0):
    problems = own.load()[:2]
    return units_of(problems, {p.task_id: prompt_for(p, 1) for p in problems}, n, chunk, seed)


def test_every_unit_gets_as_many_completions_as_it_asked_for(generator):
    asked = units()
    found = {unit.name: completions for unit, completions in generator.generate(asked)}
    assert {name: len(c) for name, c in found.items()} == {unit.name: unit.n for unit in asked}
    assert all(c.finish_reason in ("stop", "length", "made") for cs in found.values() for c in cs)
    assert all(c.tokens <= max(_SAMPLING.max_tokens, 500) for cs in found.values() for c in cs)


def test_units_of_one_problem_have_seeds_of_their_own():
    seeds = [unit.seed for unit in units(n=8, chunk=2)]
    assert len(set(seeds)) == len(seeds)
    assert seeds != [unit.seed for unit in units(n=8, chunk=2, seed=1)]


def test_the_same_seed_gives_the_same_samples(tiny_model):
    from engine.verify.generate.with_transformers import TransformersGenerator

    generator = TransformersGenerator(str(tiny_model), None, _SAMPLING)
    once = [c.text for _, cs in generator.generate(units()) for c in cs]
    again = [c.text for _, cs in generator.generate(units()) for c in cs]
    assert once == again
    assert len(set(once)) > 1


def test_sampling_with_a_shared_prefill_gives_the_models_own_log_probabilities(tiny_model):
    """The fast path against a plain forward pass over the whole text."""
    import torch

    from engine.verify.generate.with_transformers import TransformersGenerator

    generator = TransformersGenerator(str(tiny_model), None, Sampling(0.0, 1.0, 6))
    (unit, *_) = units(n=2)
    (completion, _) = next(iter(generator.generate([unit])))[1]
    ids = generator.tokenizer.apply_chat_template(
        [{"role": "user", "content": unit.prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    total = 0.0
    with torch.no_grad():
        for _ in range(completion.tokens):
            logp = generator.model(ids).logits[0, -1].float().log_softmax(-1)
            total += logp.max().item()
            ids = torch.cat([ids, logp.argmax()[None, None]], dim=1)
    assert completion.logprob == pytest.approx(total, abs=1e-3)


def test_a_model_without_a_chat_template_is_refused(tiny_model, tmp_path):
    import transformers

    from engine.verify.generate.with_transformers import require_template

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = None
    with pytest.raises(StepFailed, match="instruct"):
        require_template(tokenizer, "base-model")


def test_a_server_that_is_not_there_is_named():
    dead = OpenaiGenerator("http://127.0.0.1:9/v1", "any", _SAMPLING)
    with pytest.raises(StepFailed, match="is the server up"):
        list(dead.generate(units()))


def test_references_in_other_styles_still_pass_and_most_slips_fail():
    rng = random.Random(0)
    problems = own.load()[::6]
    samples = []
    for problem in problems:
        styled = restyle(problem.reference, rng)
        code, _ = slip(styled, rng, 2)
        samples += [
            problem.sample(f"styled {problem.task_id}", styled),
            problem.sample(f"slip {problem.task_id}", code),
        ]
    with Pool(2) as pool:
        verdicts = {v.key: v.ok for v in pool.judge(samples)}
    assert all(ok for key, ok in verdicts.items() if key.startswith("styled"))
    assert sum(ok for key, ok in verdicts.items() if key.startswith("slip")) < len(problems) / 2


def test_a_slipped_program_is_still_a_program():
    rng = random.Random(1)
    for problem in own.load():
        code, made = slip(problem.reference, rng, 1)
        assert made
        ast.parse(code)


def test_own_problems_have_three_disjoint_splits():
    problems = own.load()
    assert len(problems) >= 120
    assert len({p.task_id for p in problems}) == len(problems)
    assert {p.split for p in problems} == {"train", "validation", "test"}


def test_a_torn_last_line_is_dropped_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    with Appender(path, {"n": 1}) as file:
        file.append([{"key": "a"}, {"key": "b"}])
    with open(path, "ab") as file:
        file.write(b'{"key": "c", "te')
    with Appender(path, {"n": 1}) as file:
        assert [row["key"] for row in file.had] == ["a", "b"]
        file.append([{"key": "c"}])
    assert [row["key"] for row in read(path)] == ["a", "b", "c"]


def test_a_file_of_other_parameters_is_refused_and_says_which_differ(tmp_path):
    path = tmp_path / "rows.jsonl"
    with Appender(path, {"temperature": 0.8, "n": 50}) as file:
        file.append([{"key": "a"}])
    with pytest.raises(StepFailed, match=r"temperature: 0\.8 there, 1\.0 now"):
        Appender(path, {"temperature": 1.0, "n": 50})


def test_a_file_that_nobody_knows_the_making_of_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"key": "a"}\n')
    assert not params_path(path).exists()
    with pytest.raises(StepFailed, match="nobody knows"):
        Appender(path, {"n": 1})


@pytest.mark.skipif("vllm" in sys.modules, reason="says what happens without vLLM")
def test_without_vllm_the_message_names_the_way_out(monkeypatch):
    from engine.config.verify import Generate
    from engine.verify.generate.backends import open_generator

    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(StepFailed, match=r"generate\.backend=transformers"):
        open_generator(Generate(backend="vllm", model="x"))


def test_a_race_without_vllm_still_measures_transformers(tiny_model, tmp_path, monkeypatch, capsys):
    from pathlib import Path

    from engine.verify.generate import race

    monkeypatch.chdir(Path(__file__).resolve().parents[3])
    monkeypatch.setenv("FRACTAL_WORK", str(tmp_path))
    monkeypatch.setitem(sys.modules, "vllm", None)
    words = ["--preset", "smoke", "problems.limit=2", "generate.backend=transformers", f"generate.model={tiny_model}"]
    race.main([*words, "generate.n_test=2", "generate.max_tokens=4"])
    said = capsys.readouterr().out
    assert "tokens/s over 4 samples" in said
    assert "vllm: left out" in said
