"""Every backend keeps the same contract; a generation file knows what it was made with."""

import ast
import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from engine.config.verify import Generate
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Sampling, greedy_units, units_of
from engine.verify.generate.mutate import restyle, slip
from engine.verify.generate.offline import OfflineGenerator
from engine.verify.generate.prompt import prompt_for
from engine.verify.generate.shards import devices
from engine.verify.generate.with_openai import OpenaiGenerator
from engine.verify.generate.with_transformers import TransformersGenerator, batches
from engine.verify.problems import own
from engine.verify.rows import Appender, params_path, read
from engine.verify.sandbox.pool import Pool
from engine.verify.step import StepFailed
from engine.verify.too_small import fits_or_says

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


@pytest.fixture(scope="module", params=["offline", "transformers", "two shards", "openai"])
def generator(request):
    """vLLM keeps the same contract: test_vllm.py runs these very tests."""
    if request.param == "offline":
        yield OfflineGenerator()
    elif request.param == "openai":
        yield OpenaiGenerator(request.getfixturevalue("server"), "any", _SAMPLING)
    else:
        shards = 2 if request.param == "two shards" else 1
        cfg = Generate(backend="transformers", model=str(request.getfixturevalue("tiny_model")), data_parallel=shards)
        made = open_generator(cfg.model_copy(update=vars(_SAMPLING)))
        yield made
        if shards > 1:
            made.close()


def units(n=3, chunk=2, seed=0):
    problems = own.load()[:2]
    return units_of(problems, {p.task_id: prompt_for(p, 1) for p in problems}, n, chunk, seed)


def greedy(count):
    problems = own.load()[:count]
    return greedy_units(problems, {p.task_id: prompt_for(p, 1) for p in problems})


def test_every_unit_gets_as_many_completions_as_it_asked_for(generator):
    asked = units()
    found = {unit.name: completions for unit, completions in generator.generate(asked)}
    assert {name: len(c) for name, c in found.items()} == {unit.name: unit.n for unit in asked}
    assert all(c.finish_reason in ("stop", "length", "made") for cs in found.values() for c in cs)
    assert all(c.tokens <= max(_SAMPLING.max_tokens, 500) for cs in found.values() for c in cs)
    assert all(c.logprob is None or c.logprob <= 0 for cs in found.values() for c in cs)


def test_units_of_one_call_come_back_under_their_own_names(generator):
    asked = units(n=2, chunk=1)
    assert sorted(unit.name for unit, _ in generator.generate(asked)) == sorted(unit.name for unit in asked)


def test_every_model_says_its_log_probabilities(generator):
    if generator.name == "offline":
        pytest.skip("programs that no model wrote have none")
    found = [c for _, completions in generator.generate(units()) for c in completions]
    assert all(c.logprob is not None and c.logprob < 0 and c.tokens > 0 for c in found)


def test_the_greedy_answer_is_the_same_for_every_seed(generator):
    if generator.name == "offline":
        pytest.skip("programs that no model wrote have no most probable one")
    once, again = ({u.name: c for u, (c,) in generator.generate(greedy(2))} for _ in range(2))
    assert once == again


def test_units_of_one_problem_have_seeds_of_their_own():
    seeds = [unit.seed for unit in units(n=8, chunk=2)]
    assert len(set(seeds)) == len(seeds)
    assert seeds != [unit.seed for unit in units(n=8, chunk=2, seed=1)]


def test_the_same_seed_gives_the_same_samples(tiny_model):
    generator = TransformersGenerator(str(tiny_model), None, _SAMPLING)
    once = [c.text for _, cs in generator.generate(units()) for c in cs]
    again = [c.text for _, cs in generator.generate(units()) for c in cs]
    assert once == again
    assert len(set(once)) > 1


def test_the_samples_of_a_unit_do_not_depend_on_what_is_generated_beside_it(tiny_model):
    generator = TransformersGenerator(str(tiny_model), None, _SAMPLING)
    asked = units(n=5, chunk=2)
    together = {unit.name: [c.text for c in cs] for unit, cs in generator.generate(asked)}
    alone = {unit.name: [c.text for c in cs] for one in asked for unit, cs in generator.generate([one])}
    assert together == alone


def test_prompts_of_many_units_are_read_in_one_pass(tiny_model):
    generator = TransformersGenerator(str(tiny_model), None, _SAMPLING)
    shapes = []
    plain = generator.model.forward
    generator.model.forward = lambda ids, **words: shapes.append(tuple(ids.shape)) or plain(ids, **words)
    list(generator.generate(units(n=6, chunk=3)))
    assert shapes[0][0] == 4  # two problems in chunks of two
    assert shapes[1] == (12, 1)  # three samples of each go on from it
    assert len(shapes) <= _SAMPLING.max_tokens


def test_units_are_read_together_by_length_up_to_the_rows_that_fit():
    assert batches([9, 3, 5, 4], [2, 2, 2, 2], 4) == [[1, 3], [2, 0]]
    assert batches([3, 4], [50, 1], 8) == [[0], [1]]


def test_a_stop_word_ends_an_answer_and_is_no_part_of_it(tiny_model):
    free = TransformersGenerator(str(tiny_model), None, Sampling(0.0, 1.0, 12))
    (_, (whole,)) = next(free.generate(greedy(1)))
    word = whole.text[4:6]
    cut = TransformersGenerator(str(tiny_model), None, Sampling(0.0, 1.0, 12, stop=(word,)))
    (_, (short,)) = next(cut.generate(greedy(1)))
    assert short.text == whole.text.split(word)[0]
    assert short.finish_reason == "stop"
    assert short.tokens < whole.tokens


def test_an_answer_that_reaches_the_limit_says_so(tiny_model):
    generator = TransformersGenerator(str(tiny_model), None, Sampling(0.8, 0.95, 3))
    found = [c for _, cs in generator.generate(units(n=32, chunk=16)) for c in cs]
    assert {c.finish_reason for c in found if c.tokens == 3 and c.text != ""} >= {"length"}
    assert all(c.finish_reason == "stop" for c in found if c.tokens < 3)


def test_a_memory_that_is_too_small_says_what_to_lower():
    import torch

    says = pytest.raises(StepFailed, match=r"too small for the model X: lower generate\.chunk")
    with says, fits_or_says("the model X", "lower generate.chunk"):
        torch.empty(1 << 60)
    with pytest.raises(RuntimeError, match="shapes"), fits_or_says("the model X", "lower it"):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_each_shard_has_gpus_of_its_own():
    assert devices(None, 4, 2, 2) == ["0,1", "2,3"]
    assert devices("5,7", 8, 2, 1) == ["5", "7"]
    assert devices(None, 0, 2, 1) == [None, None]
    with pytest.raises(StepFailed, match=r"need 8; 4 are there\. Lower generate\.data_parallel"):
        devices(None, 4, 4, 2)


def test_a_shard_that_fails_says_why(tmp_path):
    shards = open_generator(Generate(backend="transformers", model="x", data_parallel=2, base_url=""))
    for shard in shards._shards:
        shard.process.kill()
    with pytest.raises(StepFailed, match=r"shard \d died"):
        list(shards.generate(units()))
    assert all(shard.process.poll() is not None for shard in shards._shards)


def test_sampling_with_a_shared_prefill_gives_the_models_own_log_probabilities(tiny_model):
    """The fast path against a plain forward pass over the whole text."""
    import torch

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
    assert "tokens/s (" in said
    assert "over 4 samples" in said
    assert "vllm: left out" in said
