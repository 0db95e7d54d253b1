"""A chat model that fits into a test: Qwen2's architecture and chat marks, two layers, random weights, bytes as tokens."""

import pytest

_MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of such a model. Its sizes are the smallest that vLLM's CPU kernels take."""
    import tokenizers
    import transformers

    folder = tmp_path_factory.mktemp("tiny")
    words = {word: at for at, word in enumerate([*_MARKS, *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())])}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(words, []))
    inner.add_special_tokens(_MARKS)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    config = transformers.Qwen2Config(
        vocab_size=len(words), hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=2048, eos_token_id=2, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    transformers.set_seed(0)
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder
