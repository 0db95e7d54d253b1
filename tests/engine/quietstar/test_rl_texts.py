"""What is read while thoughts are learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.config.quietstar_rl import Rl
from engine.quietstar import task
from engine.quietstar.errors import ThoughtError
from engine.quietstar.rl_texts import SpanTexts, task_stream, uncertainty
from tests.engine.quietstar import tiny

SPANS = Rl(positions="entropy", batch=3, span=24, ahead=2, thought_tokens=4, top_share=0.2, random_share=0.2)


def spans(cfg: Rl = SPANS) -> SpanTexts:
    streams = (task_stream(0, 60, split) for split in ("train", "val"))
    return SpanTexts(*streams, tiny.thinker(tiny.body(width=32)), cfg, 0, tiny.CPU)


def test_the_batch_of_an_episode_follows_from_its_number() -> None:
    for texts in (tiny.texts(), spans()):
        assert torch.equal(texts.batch(3).ids_BL, texts.batch(3).ids_BL)
        assert torch.equal(texts.batch(3).at_BJ, texts.batch(3).at_BJ)
        assert not torch.equal(texts.batch(3).ids_BL, texts.batch(4).ids_BL)


def test_a_problem_is_thought_about_right_before_its_answer() -> None:
    batch = tiny.texts().batch(0)
    assert batch.ids_BL.gather(1, batch.at_BJ).unique().tolist() == [task.EQUALS_ID]


def test_held_out_problems_are_the_ones_whose_thoughts_are_judged() -> None:
    texts = tiny.texts()
    problems = texts._held_out(40)
    thoughts = torch.from_numpy(texts.world.thought_ids(problems)[:, 1:-1])
    assert texts.thoughts_right(40, thoughts) == 1
    assert torch.equal(texts.held_out(40)[0].ids_BL[:, :7], torch.from_numpy(problems.question_ids()))


def test_enough_true_tokens_follow_every_place_of_a_span() -> None:
    for positions in ("all", "entropy"):
        batch = spans(SPANS.model_copy(update={"positions": positions})).batch(0)
        assert int(batch.at_BJ.max()) + SPANS.ahead < 24
    assert batch.at_BJ.shape == (3, 8)


def test_uncertainty_is_the_entropy_without_a_thought() -> None:
    thinker = tiny.thinker(tiny.body(width=32))
    ids = torch.from_numpy(task_stream(0, 4, "train")[None])
    p = thinker.body(ids).logits.softmax(-1).detach()
    found = uncertainty(thinker, ids, ahead=2)
    assert torch.allclose(found[0, :-2], -(p * p.log()).sum(-1)[0, :-2], atol=1e-5)
    assert torch.isinf(found[0, -2:]).all()


def test_held_out_spans_hold_at_least_so_many_places() -> None:
    batches = spans().held_out(50)
    assert 50 <= sum(b.at_BJ.numel() for b in batches) < 50 + 24


def test_a_span_that_leaves_no_room_for_its_thoughts_is_refused() -> None:
    with pytest.raises(ThoughtError, match="goes over the context of 64"):
        spans(SPANS.model_copy(update={"span": 62})).batch(0)


def test_a_stream_is_questions_and_answers() -> None:
    stream = task_stream(0, 3, "train")
    assert np.array_equal(stream.reshape(3, -1)[:, 6], [task.EQUALS_ID] * 3)
    assert np.array_equal(stream.reshape(3, -1)[:, 8], [task.EOS_ID] * 3)
