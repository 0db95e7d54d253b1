"""Generation by any server that speaks the chat-completions interface, vLLM's own included. Standard library only."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from engine.verify.generate.contract import Completion, Sampling, Unit
from engine.verify.step import StepFailed

_AT_ONCE = 16  # requests under way: a server batches what it has
_TIMEOUT_S = 600.0


class OpenaiGenerator:
    """The key, where a server wants one, comes from $OPENAI_API_KEY and is never written anywhere."""

    name = "openai"

    def __init__(self, base_url: str, model: str, sampling: Sampling) -> None:
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.model = model
        self.sampling = sampling

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from zip(units, pool.map(self._ask, units), strict=True)

    def _ask(self, unit: Unit) -> list[Completion]:
        sampling = self.sampling.of(unit)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": unit.prompt}],
            "n": unit.n,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": self.sampling.max_tokens,
            "seed": unit.seed,
            "logprobs": True,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        answer = self._post(body)
        return [_completion(choice) for choice in answer["choices"]]

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
                found: dict[str, Any] = json.loads(reply.read())
        except urllib.error.HTTPError as error:
            raise StepFailed(f"{self.url} answered {error.code}: {error.read(300).decode(errors='replace')}") from None
        except (urllib.error.URLError, TimeoutError, ValueError) as error:
            raise StepFailed(
                f"{self.url} can't be used ({error}); is the server up, and generate.base_url right?"
            ) from None
        return found


def _completion(choice: dict[str, Any]) -> Completion:
    tokens = ((choice.get("logprobs") or {}).get("content")) or []
    logprob = sum(t["logprob"] for t in tokens) if tokens else None
    return Completion(choice["message"]["content"] or "", choice.get("finish_reason") or "stop", len(tokens), logprob)
