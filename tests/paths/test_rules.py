import math
import random
from dataclasses import replace

import pytest
from path_records import CHOICE, REASONING, make_path

from sert.config.rules import USUAL, RulesConfig
from sert.paths.rules import (
    REJECTED,
    RULE_TABLE,
    RULES,
    Stump,
    apply_rules,
    certain_reason,
    is_reasoned,
    perplexity,
    rep_n,
)


def tokens_with_repeats(*, num_bigrams, num_repeated):
    """`num_repeated` bigrams (0, 0) that were seen before, the other bigrams all new."""
    return (0,) * (num_repeated + 2) + tuple(range(1, num_bigrams - num_repeated))


# ---- measures


def test_rep_n_counts_repeated_ngrams():
    assert rep_n("abab", 1) == 0.5  # a, b again
    assert rep_n("abab", 2) == pytest.approx(1 / 3)  # ab, ba, ab
    assert rep_n("abcd", 2) == 0.0
    assert rep_n([7, 7, 7, 7], 2) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("items", "n"), [("", 1), ("a", 2), ("ab", 3)])
def test_rep_n_without_ngrams_is_zero(items, n):
    assert rep_n(items, n) == 0.0


@pytest.mark.parametrize("percent", range(1, 100))
def test_rep_n_equals_the_literal_share(percent):
    token_ids = tokens_with_repeats(num_bigrams=100, num_repeated=percent)
    assert rep_n(token_ids, 2) == float(f"0.{percent:02d}")


def test_perplexity():
    assert perplexity([-math.log(4.0)] * 3) == pytest.approx(4.0)
    assert perplexity([-math.log(2.0), -math.log(8.0)]) == pytest.approx(4.0)
    assert perplexity([]) == math.inf
    assert perplexity([-2000.0]) == math.inf


# ---- one test a rule


def reason_of(path, *, question=CHOICE, **settings):
    return apply_rules(path, question, RulesConfig(**settings)).reason


def test_reasoning_path_is_kept():
    verdict = apply_rules(make_path(), CHOICE, RulesConfig())
    assert verdict.reason is None
    assert (verdict.question_id, verdict.branch, verdict.sample) == ("q2", 0, 0)
    assert (verdict.num_tokens, verdict.rep_2, verdict.selected) == (30, 0.0, False)
    assert verdict.perplexity == pytest.approx(math.exp(2.0))
    assert (verdict.conclusion, verdict.agrees) == ("C", True)


def test_wrong_and_missing_conclusions():
    wrong = apply_rules(make_path(REASONING.replace("(C)", "(A)")), CHOICE, RulesConfig())
    assert (wrong.reason, wrong.conclusion, wrong.agrees) == (None, "A", False)
    none = apply_rules(make_path(" Bats look for quiet places."), CHOICE, RulesConfig())
    assert (none.reason, none.conclusion, none.agrees) == (None, None, None)


PATTERNS = {
    "imitation": " They sleep there. Question: Where do owls sleep? Answer: in trees.",
    "option_repetition": " (A) attic, (B) dark room, (C) barn, (D) new york, (E) dark.",
    "direct_response": " The answer is (C) barn.",
}


@pytest.mark.parametrize("rule", PATTERNS)
def test_pattern_rules_drop(rule):
    assert reason_of(make_path(PATTERNS[rule])) == rule


def test_imitation_is_of_the_prompt_in_use():
    text = REASONING + "\nFrage: Wo schlafen Eulen?\nAntwort: im Baum"
    other = replace(CHOICE, prompt="Frage: Where do bats sleep?\nAntwort:")
    assert reason_of(make_path(text)) is None
    assert reason_of(make_path(text), question=other) == "imitation"


def test_what_follows_a_next_question_is_no_conclusion():
    invented = " Bats hang.\nQuestion: Where do owls sleep?\nAnswer: So the answer is (C)."
    assert apply_rules(make_path(invented), CHOICE, RulesConfig()).conclusion is None


def test_pattern_rules_can_be_switched_off():
    assert reason_of(make_path(PATTERNS["imitation"]), imitation=False) is None
    assert reason_of(make_path(PATTERNS["direct_response"]), direct_response=False) is None
    # A list of options is a direct response as well.
    listed = make_path(PATTERNS["option_repetition"])
    assert reason_of(listed, option_repetition=False) == "direct_response"
    assert reason_of(listed, option_repetition=False, direct_response=False) is None


def test_length_rule_keeps_25():
    assert reason_of(make_path(token_ids=tuple(range(24)))) == "length"
    assert reason_of(make_path(token_ids=tuple(range(25)))) is None
    assert reason_of(make_path(token_ids=tuple(range(24))), min_tokens=0) is None


def test_repetition_rule_keeps_20_percent():
    exactly = make_path(token_ids=tokens_with_repeats(num_bigrams=40, num_repeated=8))
    above = make_path(token_ids=tokens_with_repeats(num_bigrams=39, num_repeated=8))
    assert reason_of(exactly) is None
    assert reason_of(above) == "repetition"
    assert reason_of(above, max_rep_2=1) is None


def test_perplexity_rule_keeps_5():
    low = make_path(logprobs=(-math.log(4.99),) * 30)
    assert reason_of(low) == "perplexity"
    assert reason_of(low, min_perplexity=0) is None
    measured = apply_rules(make_path(), CHOICE, RulesConfig()).perplexity
    assert reason_of(make_path(), min_perplexity=measured) is None
    assert reason_of(make_path(), min_perplexity=math.nextafter(measured, math.inf)) == "perplexity"


def test_perplexity_can_leave_out_the_branch_token():
    path = make_path(token_ids=tuple(range(30)), logprobs=(-100.0,) + (-1.0,) * 29)
    assert reason_of(path) is None
    assert reason_of(path, perplexity_over="continuation") == "perplexity"
    assert apply_rules(path, CHOICE, RulesConfig(perplexity_over="continuation")).perplexity == pytest.approx(math.e)


def test_a_highest_perplexity_can_be_set():
    measured = apply_rules(make_path(), CHOICE, RulesConfig()).perplexity
    assert reason_of(make_path(logprobs=(-9.0,) * 30)) is None
    assert reason_of(make_path(), max_perplexity=measured) is None
    assert reason_of(make_path(), max_perplexity=math.nextafter(measured, 0)) == "high_perplexity"
    path = make_path(token_ids=tuple(range(30)), logprobs=(-100.0,) + (-2.0,) * 29)
    assert reason_of(path, max_perplexity=9) == "high_perplexity"
    assert reason_of(path, max_perplexity=9, perplexity_over="continuation") is None


CUT = " Bats look for quiet places under a roof. Farmers keep hay in a"


@pytest.mark.parametrize(
    ("text", "finish", "whole"),
    [
        (CUT, "length", len(" Bats look for quiet places under a roof.")),
        (CUT, "eos", None),
        (" Bats look for quiet places under a roof.\n", "length", None),
        (" Bats look for quiet places under a roof. So the answer is (C) ba", "length", None),
        (" Bats look for quiet places. Question: Where do ow", "length", None),
        (" Bats look for quiet places under a ro", "length", 0),
        (" The answer is (C). Bats like", "length", 0),  # what is left is no reasoning
    ],
)
def test_what_is_left_of_a_path_that_breaks_off(text, finish, whole):
    path = make_path(text, finish=finish)
    assert apply_rules(path, CHOICE, RulesConfig()).whole_characters == whole
    reasons = {how: reason_of(path, unfinished=how, direct_response=False) for how in ("keep", "trim", "drop")}
    assert reasons == {
        "keep": None,
        "trim": "unfinished" if whole == 0 else None,
        "drop": None if whole is None else "unfinished",
    }


def test_a_path_that_breaks_off_is_measured_as_a_whole():
    path = make_path(CUT, finish="length")
    measured = [apply_rules(path, CHOICE, RulesConfig(unfinished=how)) for how in ("keep", "trim")]
    assert measured[0] == measured[1]
    assert (measured[1].num_tokens, measured[1].perplexity, measured[1].rep_2) == (30, path.perplexity, path.rep_2)


def test_words_as_the_unit():
    text = " One two ONE two three." + " more" * 3
    measures = apply_rules(make_path(text), CHOICE, RulesConfig(unit="words"))
    # one two one two three. more more more: the bigrams (one, two) and (more, more) come back.
    assert (measures.num_tokens, measures.rep_2) == (8, pytest.approx(2 / 7))
    assert reason_of(make_path(text), unit="words") == "length"
    assert reason_of(make_path(text), unit="words", min_tokens=8) == "repetition"


def test_reasons_come_in_the_order_of_the_rules():
    everything = PATTERNS["option_repetition"] + " Question: x Answer: (A)"
    path = make_path(everything, token_ids=(1, 1, 1, 1), logprobs=(0.0,) * 4)
    off = {}
    switches = {"length": {"min_tokens": 0}, "repetition": {"max_rep_2": 1}, "perplexity": {"min_perplexity": 0}}
    for rule in USUAL:
        assert reason_of(path, **off) == rule
        off |= switches.get(rule, {rule: False})
    assert reason_of(path, **off) is None
    # Then ours.
    cut = make_path(CUT, finish="length")
    assert reason_of(cut, max_perplexity=6, unfinished="drop") == "high_perplexity"
    assert reason_of(cut, unfinished="drop") == "unfinished"


def test_the_table_has_every_rule_in_its_order():
    assert tuple(rule.name for rule in RULE_TABLE) == RULES


def test_empty_path_is_dropped():
    assert reason_of(make_path("", token_ids=())) == "direct_response"


def test_path_cut_short_is_never_kept():
    repetitive = make_path(token_ids=tokens_with_repeats(num_bigrams=39, num_repeated=8), finish="rejected")
    assert reason_of(repetitive) == "repetition"
    assert reason_of(repetitive, max_rep_2=0.9) == REJECTED


# ---- reasoned


def test_is_reasoned():
    config = RulesConfig()
    assert is_reasoned(REASONING, 25, CHOICE, config)
    assert not is_reasoned(REASONING, 24, CHOICE, config)
    for text in PATTERNS.values():
        assert not is_reasoned(text, 30, CHOICE, config)


def test_is_reasoned_counts_patterns_that_the_filter_ignores():
    off = RulesConfig(imitation=False, option_repetition=False, direct_response=False, min_tokens=0)
    for text in PATTERNS.values():
        assert not is_reasoned(text, 30, CHOICE, off)


def test_is_reasoned_in_words():
    config = RulesConfig(unit="words", min_tokens=17)
    assert is_reasoned(REASONING, 3, CHOICE, config)  # 17 words
    assert not is_reasoned(REASONING, 3, CHOICE, config.model_copy(update={"min_tokens": 18}))


# ---- stopping early

PIECES = (" Question", ":", " Answer", " answer", " bats", " sleep", " (A) attic", ".", "\nQuestion: who?", " hide")
MAX_NEW_TOKENS = 60


def decode(token_ids):
    return "".join(PIECES[token % len(PIECES)] for token in token_ids)


def certain(text, token_ids, config, *, max_new_tokens):
    return certain_reason(Stump(text, token_ids, CHOICE, max_new_tokens), config)


def random_tokens(rng):
    vocabulary = rng.choice((4, 10, 40, 400))
    return [rng.randrange(vocabulary) for _ in range(rng.randint(1, MAX_NEW_TOKENS))]


@pytest.mark.parametrize(
    "config",
    [
        RulesConfig(),
        RulesConfig(imitation=False),
        RulesConfig(imitation=False, max_rep_2=0.3, min_tokens=5, min_perplexity=0),
        RulesConfig(imitation=False, max_rep_2=1 / 59, min_tokens=0, min_perplexity=0),
    ],
    ids=["both", "repetition", "loose", "nearly no repeat"],
)
def test_what_is_stopped_early_is_dropped_in_full_and_as_it_stands(config):
    rng = random.Random(7)
    flagged = unflagged = 0
    for _ in range(400):
        token_ids = random_tokens(rng)
        stop = next(
            (
                length
                for length in range(1, len(token_ids) + 1)
                if certain(decode(token_ids[:length]), token_ids[:length], config, max_new_tokens=MAX_NEW_TOKENS)
            ),
            None,
        )
        if stop is None:
            unflagged += 1
            continue
        flagged += 1
        cut = make_path(decode(token_ids[:stop]), token_ids=tuple(token_ids[:stop]), finish="rejected")
        assert reason_of(cut, **config.model_dump()) in RULES
        continuations = [token_ids[stop:], [rng.randrange(10**6) for _ in range(MAX_NEW_TOKENS - stop)]]
        for continuation in continuations:
            full = [*token_ids[:stop], *continuation]
            assert certain(decode(full), full, config, max_new_tokens=MAX_NEW_TOKENS)
            assert reason_of(make_path(decode(full), token_ids=tuple(full)), **config.model_dump()) in RULES
    assert flagged > 50
    assert unflagged > 50


def test_repeats_stop_a_path_as_soon_as_none_can_outweigh_them():
    # 60 tokens have 59 bigrams; 20 % of them are 11.8, so that the twelfth repeat is one too many.
    config = RulesConfig(min_tokens=0)
    assert not certain("", (0,) * 13, config, max_new_tokens=60)  # 12 bigrams, 11 repeats
    assert certain("", (0,) * 14, config, max_new_tokens=60)
    assert not certain("", (0,) * 14, config, max_new_tokens=61)  # 12 of 60 are exactly 20 %


def test_a_path_is_not_stopped_before_it_is_long_enough():
    assert not certain("", (0,) * 24, RulesConfig(), max_new_tokens=60)
    assert certain("", (0,) * 25, RulesConfig(), max_new_tokens=60)


def test_rules_that_are_off_stop_nothing():
    imitation, repeats = PATTERNS["imitation"], (0,) * 60
    assert certain(imitation, (1, 2), RulesConfig(), max_new_tokens=60)
    assert not certain(imitation, (1, 2), RulesConfig(imitation=False), max_new_tokens=60)
    assert certain("", repeats, RulesConfig(), max_new_tokens=60)
    assert not certain("", repeats, RulesConfig(max_rep_2=1), max_new_tokens=60)
    assert not certain("", repeats, RulesConfig(unit="words"), max_new_tokens=60)
    assert not certain("", (0,), RulesConfig(min_tokens=0), max_new_tokens=1)
