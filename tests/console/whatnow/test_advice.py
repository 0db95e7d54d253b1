"""The table of what goes wrong: each entry found from what real programs say, and nothing made up in its advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.whatnow.advice import Advice, Failure, advise, fill
from console.whatnow.gather import nan_metrics
from console.whatnow.rules import built_in, read_rules, rules_of
from engine.config.errors import ConfigError

WORDS = {
    "run": "20261120-t-train-x7k2a",
    "phase": "phase7",
    "step": "train",
    "preset": "a100",
    "host": "gpu",
    "work": "/w",
    "folder": "/r",
    "root": "/root",
}

CUDA = """\
Traceback (most recent call last):
  File "train.py", line 3, in <module>
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
"""
VLLM = "Traceback (most recent call last):\n  File ...\nModuleNotFoundError: No module named 'vllm'\n"


def asked(**about: Any) -> Advice:
    advice = advise(Failure(**{"state": "failed", "words": WORDS, **about}), built_in())
    assert advice is not None
    return advice


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ("vllm-missing", {"cause": "exception", "log": VLLM}),
        ("cuda-oom", {"cause": "cuda-oom", "log": CUDA}),
        ("cuda-oom", {"cause": "exit", "log": CUDA}),
        ("killed-for-memory", {"cause": "oom", "reason": "out of memory: the kernel killed it"}),
        ("disk-full", {"cause": "exception", "log": "OSError: [Errno 28] No space left on device: 'best.pt'"}),
        ("cuda-driver", {"log": "RuntimeError: Found no NVIDIA driver on your system."}),
        ("nccl", {"log": "[rank1]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12)"}),
        ("gated-model", {"log": "huggingface_hub.errors.GatedRepoError: 401 Client Error."}),
        ("no-network", {"log": "socket.gaierror: [Errno -3] Temporary failure in name resolution"}),
        ("module-missing", {"log": "ModuleNotFoundError: No module named 'flash_attn'"}),
        ("nan-in-log", {"log": "step 812 loss nan lr 0.001"}),
        ("permission", {"log": "PermissionError: [Errno 13] Permission denied: '/data/x.npz'"}),
        ("permission-somewhere", {"log": "sh: ./train.sh: Permission denied"}),
        ("port-in-use", {"log": "OSError: [Errno 98] Address already in use"}),
        ("missing-input", {"cause": "missing-input", "reason": "its input train.npz is not in its work folder"}),
        ("missing-output", {"cause": "missing-output", "reason": "exit code 0, but it did not make best.pt"}),
        ("no-such-gpu", {"cause": "no-gpu", "reason": "it asks for 1 GPU(s) and this host has 0"}),
        ("command-missing", {"cause": "not-started", "reason": "No such file or directory: 'pyhton'"}),
        ("time-limit", {"cause": "timeout"}),
        ("unheard", {"state": "running", "reason": "not heard of for 5 min on gpu"}),
        ("instance-gone", {"state": "lost", "remote": True, "reason": "the command and its supervisor vanished"}),
        ("ssh-time-out", {"state": "refused", "reason": "gpu (10.0.0.1:22): no answer within 20 s"}),
        ("ssh-time-out", {"state": "refused", "reason": "gpu: 10.0.0.1 port 22 does not answer (timed out)."}),
        ("ssh-time-out", {"state": "refused", "reason": "gpu: the connection was lost; what ran there goes on"}),
        ("ssh-login", {"state": "refused", "reason": "gpu: ada@10.0.0.1 refused every key. Offered: id_ed25519."}),
        ("restarted", {"state": "lost", "reason": "the machine was restarted while it was running"}),
        ("vanished", {"state": "lost", "reason": "no supervisor ever claimed it; launch it again"}),
        ("orphaned", {"state": "orphaned"}),
        ("stalled", {"state": "stalled", "reason": "its supervisor has given no sign for 40 s"}),
        ("killed", {"cause": "signal", "reason": "killed by SIGSEGV", "words": {**WORDS, "signal": "SIGSEGV"}}),
        ("exception", {"cause": "exception", "reason": "ValueError: bad shape (exit code 1)"}),
        ("failed", {"cause": "exit", "reason": "exit code 3"}),
    ],
)
def test_each_failure_finds_its_entry(rule: str, about: dict[str, Any]) -> None:
    advice = asked(**about)
    assert advice.rule == rule
    assert advice.do
    assert "{" not in advice.says + " ".join(advice.do).replace("{required: false}", "")


def test_cuda_out_of_memory_names_the_batch_key_and_its_value_in_the_config() -> None:
    advice = asked(cause="cuda-oom", config={"model": {"dim": 64}, "train": {"batch": 256, "lr": 1e-3}})
    assert advice.do[0] == (
        "Lower train.batch (now 256): fractal-console run phase7 train --preset a100 --set train.batch=128"
    )


def test_a_config_without_a_batch_is_not_told_to_lower_one() -> None:
    assert not any("Lower" in way for way in asked(cause="cuda-oom", config={"train": {"batch": 1}}).do)


def test_a_metric_that_became_nan_names_itself_its_step_and_the_rate() -> None:
    advice = asked(nan_metrics={"train/loss": 812.0}, config={"train": {"lr": 0.03}}, cause="exception")
    assert advice.says == "train/loss is no number any more since step 812: the training diverged."
    assert "train.lr=0.01" in advice.do[0]


def test_an_action_refused_without_a_run_is_not_told_of_one() -> None:
    advice = advise(Failure("refused", "gpu: no answer within 20 s"), built_in())
    assert advice is not None
    assert all("{" not in way for way in advice.do)


def test_a_run_that_went_well_fits_no_entry() -> None:
    assert advise(Failure("running"), built_in()) is None


def test_nan_is_told_with_the_step_from_which_on_it_stayed() -> None:
    events = [
        {"kind": "metric", "step": 1, "values": {"a": "NaN", "b": 1.0}},
        {"kind": "metric", "step": 2, "values": {"a": 1.0, "b": "NaN"}},
        {"kind": "metric", "step": 3, "values": {"a": 2.0, "b": "Infinity"}},
    ]
    assert nan_metrics(events) == {"b": 2.0}


def test_a_word_that_is_not_known_leaves_its_line_out() -> None:
    assert fill("see {nothing}", {"run": "x"}) is None
    assert fill("see {run}", {"run": "x"}) == "see x"


def test_a_projects_own_rules_are_asked_first(tmp_path: Path) -> None:
    (tmp_path / "what-now.yaml").write_text(
        "rules:\n"
        "  - name: our-licence\n"
        "    when: {log: 'licence server (?P<server>\\S+) says no'}\n"
        "    says: The licence server {server} is out of seats.\n"
        "    do: ['Ask for one, then: fractal-console run {phase} {step}']\n"
    )
    advice = advise(
        Failure("failed", cause="exception", log="licence server lic7 says no", words=WORDS), rules_of(tmp_path)
    )
    assert advice is not None
    assert advice.says == "The licence server lic7 is out of seats."
    assert advice.do == ("Ask for one, then: fractal-console run phase7 train",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n  - name: x\n    when: {log: '('}\n    says: y\n", "is no regular expression"),
        ("rules:\n  - name: x\n    wen: {log: a}\n    says: y\n", "did you mean 'when'"),
        ("rules:\n  - name: x\n    when: []\n    says: y\n", "when"),
    ],
)
def test_a_rule_that_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "what-now.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"what-now\.yaml") as error:
        read_rules(file)
    assert said in str(error.value)
