"""vLLM keeps the generation contract. Needs an environment of its own with vLLM (its CPU build will do): `-m vllm`.

    VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_ENABLE_V1_MULTIPROCESSING=0 \
        python -m pytest tests/engine/verify/test_vllm.py -m vllm
"""

import importlib

import pytest

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    contract = importlib.import_module("engine.verify.generate.contract")
    from engine.config.verify import Generate
    from engine.verify.generate.with_vllm import VllmGenerator

    folder = tmp_path_factory.mktemp("tiny")
    make_tiny_model(folder)
    cfg = Generate(backend="vllm", model=str(folder), max_model_len=512, dtype="float32", max_tokens=8)
    return VllmGenerator(cfg, contract.Sampling(0.8, 0.95, 8))


def make_tiny_model(folder):
    """As in test_generate, with a vocabulary that vLLM accepts."""
    import tokenizers
    import transformers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE({w: i for i, w in enumerate(["<|end|>", *alphabet])}, []))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|end|>")
    tokenizer.chat_template = "{% for m in messages %}U:{{ m['content'] }}\n{% endfor %}A:"
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=257, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def test_every_unit_gets_as_many_completions_as_it_asked_for(generator):
    from engine.verify.generate.contract import units_of
    from engine.verify.problems import own

    problems = own.load()[:2]
    asked = units_of(problems, {p.task_id: "Add." for p in problems}, 3, 2, 0)
    found = {unit.name: completions for unit, completions in generator.generate(asked)}
    assert {name: len(c) for name, c in found.items()} == {unit.name: unit.n for unit in asked}
    assert all(c.logprob is not None and c.logprob <= 0 for cs in found.values() for c in cs)
