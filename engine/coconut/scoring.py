"""How many problems a model answers in its own words: in all, by hops, and whether its chain is the labelled one."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.coconut.answers import Interval, chain_matches, interval, is_right
from engine.coconut.generate import Change, generate
from engine.coconut.layout import prompt_row
from engine.coconut.model import Coconut
from engine.coconut.ranks import Ranks
from engine.coconut.tokens import Tokens, encode_sample
from engine.config.coconut import CoconutConfig, Variant
from engine.data.prosqa import Sample


@dataclass(frozen=True)
class Score:
    """What a set of problems came to."""

    accuracy: Interval
    hops: dict[int, Interval]
    chain: Interval | None
    """Of models that write the whole chain; None of the others."""
    right: list[bool] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def score(
    model: Coconut,
    samples: list[Sample],
    tokens: Tokens,
    variant: Variant,
    stage: int,
    cfg: CoconutConfig,
    ranks: Ranks,
    change: Change | None = None,
) -> Score:
    """Greedy words for every problem, the ranks sharing them; the score is the same on every rank."""
    mine = list(range(len(samples)))[ranks.rank :: ranks.world]
    prompts = [prompt_row(encode_sample(tokens, samples[i]), tokens, variant, stage) for i in mine]
    said = generate(
        model, prompts, tokens.eos, cfg.max_new_tokens, cfg.eval_batch, not variant.coconut, change, ranks.device
    )
    texts = [""] * len(samples)
    for part in ranks.gather([(i, tokens.decode(line)) for i, line in zip(mine, said, strict=True)]):
        for i, text in part:
            texts[i] = text
    return tally(samples, texts, whole_chain=variant.cot or (stage == 0 and variant.staged))


def tally(samples: list[Sample], texts: list[str], whole_chain: bool) -> Score:
    """Count what was said."""
    right = [is_right(text, sample.answer) for text, sample in zip(texts, samples, strict=True)]
    hops = {}
    for count in sorted({s.hops for s in samples}):
        these = [ok for ok, s in zip(right, samples, strict=True) if s.hops == count]
        hops[count] = interval(sum(these), len(these))
    chain = None
    if whole_chain:
        matching = sum(chain_matches(text, s.steps) for text, s in zip(texts, samples, strict=True))
        chain = interval(matching, len(samples))
    return Score(interval(sum(right), len(right)), hops, chain, right, texts)
