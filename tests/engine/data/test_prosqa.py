"""ProsQA: the published files are known byte for byte, ours look like them, and broken problems are refused."""

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from engine.data import prosqa
from engine.data.prosqa import OOD_SETS, PERSONS, SPECIES, DataError, Sample, as_json, file_name, load, save, verify
from engine.data.prosqa_checker import RULES, check, content, distances, prove, read_question
from engine.data.prosqa_generator import HOPS, generate
from engine.data.prosqa_ood import generate_set

REAL = Path(os.environ.get("FRACTAL_DATA") or Path(__file__).parents[4] / "shared" / "data")
needs_real = pytest.mark.skipif(
    not (REAL / "prosqa_test.json").exists(), reason="no ProsQA files in $FRACTAL_DATA or ../shared/data"
)


@pytest.fixture(scope="module")
def ours() -> list[Sample]:
    return generate(600, seed=3)


@pytest.fixture(scope="module")
def real() -> list[Sample]:
    return load(REAL / "prosqa_valid.json") + load(REAL / "prosqa_test.json")


@needs_real
@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_published_file_is_known_by_its_hash(split):
    verdict = verify(REAL, split)
    assert verdict.official
    assert (verdict.rows, verdict.hops) == (prosqa.OFFICIAL[split].rows, (3, 6))


@needs_real
def test_the_vocabulary_is_the_one_in_the_files(real):
    names = {name for sample in real for name in sample.idx_to_symbol}
    assert names == {*PERSONS, *SPECIES}
    assert (len(PERSONS), len(SPECIES)) == (17, 38)


@needs_real
def test_every_published_problem_satisfies_the_checker(real):
    assert prove(real).complaints == ()


def test_every_generated_problem_satisfies_the_checker(ours):
    assert prove(ours).complaints == ()


def test_the_same_seed_gives_the_same_problems(ours):
    assert generate(20, seed=3) == ours[:20]
    assert generate(20, seed=4) != ours[:20]


def means(samples: list[Sample]) -> dict[str, float]:
    n = len(samples)
    degrees = [count for s in samples for count in Counter(b for _, b in s.edges).values()]
    return {
        "hops": sum(s.hops for s in samples) / n,
        "nodes": sum(len(s.idx_to_symbol) for s in samples) / n,
        "edges": sum(len(s.edges) for s in samples) / n,
        "persons": sum(name in PERSONS for s in samples for name in s.idx_to_symbol) / n,
        "in-degree": sum(degrees) / len(degrees),
        "characters": sum(len(s.question) for s in samples) / n,
    }


# The published validation and test files: mean, and how far ours may be (about 4 standard errors of 600 problems).
PUBLISHED = {
    "hops": (3.77, 0.13),
    "nodes": (22.8, 0.4),
    "edges": (36.0, 1.0),
    "persons": (2.56, 0.13),
    "in-degree": (1.77, 0.04),
    "characters": (930, 26),
}


@needs_real
@pytest.mark.parametrize("what", PUBLISHED)
def test_the_stated_means_are_those_of_the_files(real, what):
    assert means(real)[what] == pytest.approx(PUBLISHED[what][0], rel=0.01)


@pytest.mark.parametrize("what", PUBLISHED)
def test_generated_problems_have_the_published_means(ours, what):
    mean, within = PUBLISHED[what]
    assert abs(means(ours)[what] - mean) < within


@pytest.mark.parametrize("hops", HOPS)
def test_generated_chains_are_as_long_as_published_ones(ours, hops):
    share = sum(s.hops == hops for s in ours) / len(ours)
    assert abs(share - HOPS[hops]) < 4 * (HOPS[hops] * (1 - HOPS[hops]) / len(ours)) ** 0.5


def test_the_right_option_stands_first_half_of_the_time(ours):
    first = sum(read_question(s.question).options[0] == s.idx_to_symbol[s.target] for s in ours) / len(ours)
    assert abs(first - 0.5) < 0.09


@pytest.mark.parametrize("name", OOD_SETS)
def test_an_out_of_distribution_set_is_proved_on_every_sample(name):
    training = {content(s) for s in generate(200, seed=0)}
    proof = prove(generate_set(name, 200, seed=42), RULES[name], training)
    assert proof.complaints == ()
    assert proof.passed


@pytest.mark.parametrize("name", OOD_SETS)
def test_a_set_does_not_pass_for_another(name):
    others = [other for other in OOD_SETS if other != name]
    assert all(not prove(generate_set(name, 20, seed=1), RULES[other]).passed for other in others)


def test_a_problem_of_the_training_set_is_an_overlap_however_it_is_shuffled():
    sample = generate_set("7hop", 1, seed=0)[0]
    facts, query = sample.question.rsplit(" Is ", 1)
    turned = [f"{s}." for s in facts.rstrip(".").split(". ")][::-1]
    shuffled = dataclasses.replace(sample, question=f"{' '.join(turned)} Is {query}")
    assert prove([shuffled], RULES["7hop"], {content(sample)}).overlap == 1


def drop_fact(sample: Sample, at: int) -> Sample:
    """Take away a fact consistently, from words and graph."""
    names, (a, b) = sample.idx_to_symbol, sample.edges[at]
    text = f"{names[a]} is a {names[b]}." if names[a] in PERSONS else f"Every {names[a]} is a {names[b]}."
    question = sample.question.replace(text + " ", "", 1)
    return dataclasses.replace(sample, question=question, edges=sample.edges[:at] + sample.edges[at + 1 :])


def add_fact(sample: Sample, above: int, below: int) -> Sample:
    """Add a fact consistently to words and graph."""
    names = sample.idx_to_symbol
    text = (
        f"{names[above]} is a {names[below]}."
        if names[above] in PERSONS
        else f"Every {names[above]} is a {names[below]}."
    )
    edges = sorted([*sample.edges, (above, below)], key=lambda e: e[1])
    return dataclasses.replace(sample, question=f"{text} {sample.question}", edges=tuple(edges))


@pytest.fixture
def chain() -> Sample:
    return generate_set("7hop", 1, seed=5)[0]


def test_a_chain_that_the_person_has_no_edge_to_is_refused(chain):
    names = chain.idx_to_symbol
    first = next(i for i, (a, b) in enumerate(chain.edges) if a == chain.root and f" {names[b]}." in chain.steps[0])
    complaints = check(drop_fact(chain, first), RULES["7hop"])
    assert "the target does not follow from the facts" in complaints
    assert "a step is not among the facts" in complaints


def test_a_reachable_wrong_option_is_refused(chain):
    parent = next(b for a, b in chain.edges if a == chain.root)
    assert "the wrong option follows from the facts" in check(add_fact(chain, parent, chain.neg_target))


def test_a_circle_is_refused(chain):
    names = chain.idx_to_symbol
    last = names.index(chain.steps[-1].split(" ")[1])
    first = names.index(chain.steps[0].rstrip(".").split(" ")[-1])
    assert "the facts run in a circle" in check(add_fact(chain, last, first))


def test_a_shortcut_past_the_labelled_path_is_refused(chain):
    assert "the labelled path is not a shortest one" in check(add_fact(chain, chain.root, chain.target))


def test_a_target_that_both_roots_lead_to_is_refused(chain):
    assert "the target follows from the other root too" in check(add_fact(chain, 1 - chain.root, chain.target))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (" or ", " or a ", "wording unlike"),
        (" Is ", " So is ", "wording unlike"),
        (". Every ", ".  Every ", "wording unlike"),
    ],
)
def test_other_wording_is_refused(chain, old, new, complaint):
    at = chain.question.rindex(old)
    broken = chain.question[:at] + new + chain.question[at + len(old) :]
    assert complaint in check(dataclasses.replace(chain, question=broken))[0]


def test_steps_that_name_the_person_where_facts_name_species_are_refused(chain):
    person = chain.idx_to_symbol[chain.root]
    steps = (chain.steps[0], f"{person} is a {chain.steps[1].rsplit(' ', 1)[1]}", *chain.steps[2:])
    assert "a step is not among the facts" in check(dataclasses.replace(chain, steps=steps))


def test_a_step_without_its_full_stop_is_refused(chain):
    steps = (chain.steps[0].rstrip("."), *chain.steps[1:])
    assert "a step is worded unlike a fact" in check(dataclasses.replace(chain, steps=steps))


def test_a_word_outside_the_vocabulary_is_refused(chain):
    name = chain.idx_to_symbol[chain.target]
    swapped = json.loads(json.dumps(as_json(chain)).replace(name, "wampus"))
    assert "'wampus' is not a word of ProsQA" in check(prosqa.parse(swapped, "here"))


def test_missing_steps_are_refused(chain):
    assert "there are no steps" in check(dataclasses.replace(chain, steps=()))


def test_one_hop_more_than_the_set_promises_is_refused():
    sample = generate_set("8hop", 1, seed=0)[0]
    assert "8 steps where the set promises 7" in check(sample, RULES["7hop"])


def test_thin_branching_is_refused_in_the_dense_set():
    sample = generate_set("dense", 1, seed=0)[0]
    names = sample.idx_to_symbol
    parents = Counter(a for a, _ in sample.edges)
    parent, fewest = min(parents.items(), key=lambda item: item[1])
    broken = sample
    for _ in range(fewest - 4):
        at = next(i for i, (a, _) in enumerate(broken.edges) if a == parent)
        broken = drop_fact(broken, at)
    assert f"{names[parent]} has 4 children, not 5 to 8" in check(broken, RULES["dense"])


def test_every_step_of_the_dense_set_is_a_shortest_one():
    for sample in generate_set("dense", 50, seed=9):
        told = read_question(sample.question)
        assert distances(told, told.person)[sample.idx_to_symbol[sample.target]] == 4


def test_files_keep_their_known_names():
    assert [file_name(s) for s in ("train", "valid", "7hop", "dense")] == [
        "prosqa_train.json",
        "prosqa_valid.json",
        "ood_7hop.json",
        "ood_dense.json",
    ]


def test_a_saved_set_is_read_back_whole(tmp_path, ours):
    save(tmp_path / "prosqa_train.json", ours[:5], synthetic=True)
    assert load(tmp_path / "prosqa_train.json") == ours[:5]
    assert json.loads((tmp_path / "prosqa_train.json").read_text())[0]["synthetic"] is True


def test_a_cut_file_is_named(tmp_path):
    (tmp_path / "prosqa_valid.json").write_text('[{"question": "Every')
    with pytest.raises(DataError, match=r"prosqa_valid\.json is cut or damaged .*Copy it again"):
        load(tmp_path / "prosqa_valid.json")


def test_a_file_with_another_hash_is_refused_with_both_hashes(tmp_path, ours):
    save(tmp_path / "prosqa_valid.json", ours[:3])
    verdict = verify(tmp_path, "valid")
    with pytest.raises(
        DataError, match=r"prosqa_valid\.json is not the published file: 3 samples.*300 and c74e0de24f1e"
    ):
        prosqa.refuse_unofficial(verdict, tmp_path)


def test_an_answer_that_is_not_offered_is_refused(tmp_path, ours):
    row = as_json(ours[0]) | {"answer": "Tom is a nothing."}
    with pytest.raises(DataError, match=r"here: the answer 'Tom is a nothing\.' is not among the options"):
        prosqa.parse(row, "here")


def test_a_missing_key_is_named(ours):
    row = as_json(ours[0])
    del row["steps"]
    with pytest.raises(DataError, match=r"here: KeyError\('steps'\)"):
        prosqa.parse(row, "here")
