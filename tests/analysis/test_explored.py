"""What the explorer shows of mined and filtered folders is what their tables hold, whatever they hold."""

import itertools
import math
from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np
import pytest

from explored_data import cut_short, make_mined, make_paths, make_questions, spelled
from explorer_file import Page
from sert.analysis.explored.collect import explored
from sert.analysis.explored.path_columns import FLAGS
from sert.analysis.explored.pieces import Pieces, border_codes, find_pieces
from sert.analysis.explored.pools import _in_steps
from sert.analysis.explored.room import Room, TooLargeError, draw
from sert.analysis.explored.runs import lone_paths
from sert.analysis.explored.sources import ExploredArm, ExploredRun, FilteredPaths, MinedPaths, Outputs
from sert.config.tree import RulesConfig, SelectionConfig, StudentConfig
from sert.errors import DataError
from sert.paths.filtering import filter_paths
from sert.paths.rules import perplexity, rep_n, words_of
from sert.paths.selection import preference
from sert.records import Example, Gain, Path, Prediction, Verdict
from sert.report.explorer.elements import packed
from sert.runs.explore import write_page
from sert.store.artifacts import Artifact, commit
from sert.store.tables import StoredTable, read_table, write_table
from sert.student.texts import Texts
from sert.terminal.progress import Silent
from tests_support import make_tokenizer

RULES = RulesConfig(unit="words", min_tokens=5, unfinished="trim", max_rep_2=0.5, min_perplexity=1.5)


def filtered(mined: Artifact, out: FilePath, rules: RulesConfig = RULES, **selection) -> FilteredPaths:
    chosen = SelectionConfig(**selection)
    found = filter_paths(mined, rules=rules, selection=chosen, out=out)
    questions = tuple(read_table(mined.file("questions.parquet"), type(make_questions(1)[0])))
    return FilteredPaths(
        out.name,
        MinedPaths(mined, str(mined.folder), "demo", questions, None),
        rules,
        chosen,
        StoredTable(found.file("verdicts.parquet"), Verdict),
        found.counts.get("limits", {}),
        found,
    )


def arm(*rounds: FilteredPaths, methods=None, seed=0) -> ExploredArm:
    return ExploredArm("demo student", seed, "main", None, "demo", rounds, methods or {})


def written(tmp_path: FilePath, *arms: ExploredArm, **options) -> Page:
    file = tmp_path / "page.html"
    write_page(file, explored([ExploredRun("demo", "runs/demo", arms)], reporter=Silent(), **options))
    return Page(file)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A mined folder with two filters, and its page."""
    folder = tmp_path_factory.mktemp("explored")
    questions = make_questions(40)
    mined = make_mined(folder / "mined", questions, make_paths(questions, branches=2, samples=3, seed=1))
    paths = read_table(mined.file("paths.parquet"), Path)
    rounds = [filtered(mined, folder / "strict"), filtered(mined, folder / "paper", RulesConfig(), order="random")]
    return paths, rounds, written(folder, arm(rounds[0]), arm(rounds[1], seed=1))


def test_columns_hold_what_the_rules_measure_in_every_unit(made):
    paths, _, page = made
    columns = page.columns("paths", 0)
    assert columns["rep_2"].tolist() == [path.rep_2 for path in paths]
    assert columns["rep_2_words"].tolist() == [rep_n(words_of(path.text), 2) for path in paths]
    assert columns["perplexity"].tolist() == [path.perplexity for path in paths]
    assert columns["perplexity_continuation"].tolist() == [perplexity(path.logprobs[1:]) for path in paths]
    assert math.inf in columns["perplexity"] and 0.2 in columns["rep_2"]
    assert columns["num_tokens"].tolist() == [path.num_tokens for path in paths]
    assert columns["num_words"].tolist() == [len(path.text.split()) for path in paths]
    assert [
        (int(q), int(b), int(s))
        for q, b, s in zip(columns["question"], columns["branch"], columns["sample"], strict=True)
    ] == [(int(path.question_id[1:]), path.branch, path.sample) for path in paths]
    assert columns["question_rows"].tolist() == list(range(0, len(paths) + 1, 6))
    words = page.header["pools"][0]["finishes"]
    assert [words[code] for code in columns["finish"]] == [path.finish for path in paths]
    first = [math.nan if path.first_token_logprob is None else path.first_token_logprob for path in paths]
    np.testing.assert_array_equal(columns["first_logprob"], np.float32(first))


def test_each_filter_has_its_reasons_and_its_marks(made):
    _, rounds, page = made
    for number, each in enumerate(rounds):
        verdicts = list(each.verdicts)
        columns = page.columns("view", number)
        reasons = [page.header["reasons"][code] or None for code in columns["reason"]]
        assert reasons == [verdict.reason for verdict in verdicts]
        assert columns["selected"].tolist() == [verdict.selected for verdict in verdicts]
        assert len(set(reasons)) > 4 and sum(columns["selected"])
        row = page.header["views"][number]
        assert row["pool"] == 0 and row["rules"]["unit"] == each.rules.unit
        assert row["rules"].keys() == RulesConfig.model_fields.keys()
        assert row["selection"]["order"] == each.selection.order
        examples = read_table(each.artifact.file("examples.parquet"), Example)
        found = [question["examples"].get(str(number)) for question in page.questions_of(0)]
        expected = {int(each.question_id[1:]): [each.completion, each.conclusion] for each in examples}
        assert found == [expected.get(place) for place in range(40)] and expected


def test_flags_are_what_the_verdicts_found(made):
    _, rounds, page = made
    verdicts = list(rounds[0].verdicts)
    columns = page.columns("paths", 0)
    found = [{name for bit, name in enumerate(FLAGS) if flags & 1 << bit} for flags in columns["flags"]]
    for verdict, names in zip(verdicts, found, strict=True):
        expected = {name for name in FLAGS[:3] if getattr(verdict, name)}
        expected |= {"concludes"} if verdict.conclusion is not None else set()
        expected |= {"agrees"} if verdict.agrees else set()
        assert names == expected  # nobody verified these, and no tokenizer is known
    assert set().union(*found) == {*FLAGS} - {"true", "has_tokens"}
    assert page.header["pools"][0]["verified"] is False


def test_whole_sentences_are_counted_as_browsers_count(made):
    paths, rounds, page = made
    columns = page.columns("paths", 0)
    seen = 0
    for path, verdict, units in zip(paths, rounds[0].verdicts, columns["whole_characters"], strict=True):
        if verdict.whole_characters is None:
            assert units == -1
        else:
            assert units == len(path.text[: verdict.whole_characters].encode("utf-16-le")) // 2
            seen += units > verdict.whole_characters
    assert seen  # some have a bat in them


def test_random_ranks_are_those_of_the_selection(made):
    _, rounds, page = made
    columns, starts = page.columns("paths", 0), page.columns("paths", 0)["question_rows"]
    verdicts = list(rounds[0].verdicts)
    for start, end in itertools.pairwise(starts):
        lots = [preference(verdict, "random", seed=5) for verdict in verdicts[start:end]]
        assert [sorted(lots).index(lot) for lot in lots] == columns["random_rank"][start:end].tolist()


def test_texts_lie_in_blocks_of_questions(made):
    paths, rounds, page = made
    pool = page.header["pools"][0]
    assert (pool["blocks"], pool["block"], pool["questions"], pool["paths"]) == (2, 32, 40, 240)
    questions = page.questions_of(0)
    assert [text for question in questions for text in question["texts"]] == [path.text for path in paths]
    conclusions = [each for question in questions for each in question["conclusions"]]
    assert conclusions == [verdict.conclusion for verdict in rounds[0].verdicts]
    assert questions[3]["prompt"] == "Question 3\nAnswer:" and questions[3]["first"] == [[0, ""], [1, ""]]
    assert page.json("questions-0")["id"] == [f"q{number}" for number in range(40)]
    assert page.json("questions-0")["answer"] == ["C"] * 40


def test_paths_that_were_cut_short_are_counted_and_allow_no_percentile(made, tmp_path):
    _, _, page = made
    assert page.header["pools"][0]["percentiles"] is True
    questions = make_questions(5)
    paths = cut_short(make_paths(questions, branches=2, samples=3, seed=1), seed=2)
    mined = make_mined(tmp_path / "mined", questions, paths)
    pool = written(tmp_path, arm(filtered(mined, tmp_path / "filtered"))).header["pools"][0]
    finishes = [path.finish for path in paths]
    assert pool["cut_short"] == {word: finishes.count(word) for word in ("rejected", "outrun")}
    assert pool["percentiles"] is False and sum(pool["cut_short"].values()) > 3


# ---- samples, and pages that would be too large


def test_a_sample_is_the_same_questions_of_every_run_whole(made, tmp_path):
    paths, rounds, _ = made
    page = written(tmp_path, arm(rounds[0]), sample=7)
    shown = page.json("questions-0")["id"]
    assert len(shown) == 7 and shown == sorted(shown, key=lambda name: int(name[1:]))
    assert shown == [question.question_id for question in draw(make_questions(40), 7)]
    assert {each.question_id for each in draw(make_questions(40)[5:], 7)} & set(shown)
    kept = [path for path in paths if path.question_id in shown]
    assert [text for each in page.questions_of(0) for text in each["texts"]] == [path.text for path in kept]
    verdicts = [each for each in rounds[0].verdicts if each.question_id in shown]
    assert page.columns("view", 0)["selected"].tolist() == [each.selected for each in verdicts]
    assert page.header["sampled"] == {"questions": 7}
    assert page.header["pools"][0]["percentiles"] is False  # of a part nobody knows them


def test_a_sample_of_more_than_there_is_is_none(made, tmp_path):
    page = written(tmp_path, arm(made[1][0]), sample=41)
    assert page.header["sampled"] is None and len(page.json("questions-0")["id"]) == 40


def test_too_large_a_page_is_refused_with_a_sample_that_fits(made, tmp_path):
    rounds = made[1]
    whole = explored([ExploredRun("demo", "d", [arm(rounds[0])])], reporter=Silent()).size
    with pytest.raises(TooLargeError, match=r"more than 0 MB, .* with --sample \d+ .*--logprobs none") as refused:
        written(tmp_path, arm(rounds[0]), largest=whole - 1)
    assert 20 < refused.value.fitting < 40
    assert written(tmp_path, arm(rounds[0]), largest=whole - 1, sample=refused.value.fitting)
    assert refused.value.exit_code == 4


def test_what_fits_is_told_by_what_was_read_so_far():
    room = Room([100, 10], largest=60)
    room.take(packed("a", b""), questions=11)  # 28 characters: 2.5 a question
    with pytest.raises(TooLargeError) as refused:
        [room.take(packed("a", b"")) for _ in range(3)]
    assert 1 <= refused.value.fitting < 15


# ---- tokens


@pytest.fixture(scope="module")
def pieces():
    return Pieces(Texts(make_tokenizer()))


@pytest.mark.parametrize("text", ["bat", "", "a\U0001f987b", "é", "\ufffd", "日本 <|endoftext|>"])
def test_the_lengths_of_tokens_add_up_to_the_text(pieces, text):
    tokenizer = make_tokenizer()
    token_ids = tokenizer(text)["input_ids"]
    lengths = pieces.lengths(token_ids, tokenizer.decode(token_ids))
    assert len(lengths) == len(token_ids) and sum(lengths) == len(text.encode("utf-16-le")) // 2


def test_the_last_of_several_tokens_has_their_character(pieces):
    token_ids = make_tokenizer()("a\U0001f987b")["input_ids"]
    assert pieces.lengths(token_ids, "a\U0001f987b") == [1, 0, 0, 0, 2, 1]


def test_a_text_that_ends_within_a_character_has_lengths(pieces):
    token_ids = make_tokenizer()("a\U0001f987")["input_ids"][:-1]
    assert sum(pieces.lengths(token_ids, "a\ufffd")) == 2


def test_tokens_of_another_text_have_none(pieces):
    assert pieces.lengths(make_tokenizer()("bat")["input_ids"], "cat") is None
    assert pieces.lengths(make_tokenizer()("bat")["input_ids"], "bats") is None


@pytest.mark.parametrize(
    ("text", "lengths", "codes"),
    [
        (" Bats sleep.", [5, 6, 1], [0, 0, 0]),  # words with their blanks, then a character
        (" Bats sleep.", [3, 2, 7], [4, 0, 8]),  # a word in two, whose rest is a word; then a word with its stop
        ("  a", [1, 2], [0, 0]),
        ("a\U0001f987b", [1, 0, 0, 0, 2, 1], [0, 1, 1, 1, 3, 0]),  # the bat has two units, one is usual
        ("ab", [2, 0], [0, 0]),  # nothing is left
        ("", [], []),
    ],
)
def test_usual_tokens_take_no_room(text, lengths, codes):
    assert border_codes(text, lengths) == codes


def test_probable_tokens_are_told_the_finest():
    def told(logprob: float) -> float:
        return -((_in_steps([logprob])[0] / 12) ** 2)

    assert [_in_steps([each])[0] for each in (0.0, -1.0, -451.0, -1e9, -math.inf, 1e-9)] == [0, 12, 255, 255, 255, 0]
    assert all(abs(told(-nats) + nats) <= max(0.09 * math.sqrt(nats), 0.002) for nats in np.linspace(0, 20, 999))


def pieces_of(path: Path) -> list[int]:
    """Lengths of the tokens of a path, each a byte of its text."""
    found = Pieces(Texts(make_tokenizer())).lengths(path.token_ids, path.text)
    assert found is not None
    return found


@pytest.mark.parametrize("logprobs", ["kept", "all", "none"])
def test_tokens_lie_beside_their_block(tmp_path, monkeypatch, logprobs):
    monkeypatch.setattr("sert.analysis.explored.collect.find_pieces", lambda student: Pieces(Texts(make_tokenizer())))
    questions = make_questions(34)
    paths = spelled(make_paths(questions, branches=1, samples=2, seed=3), make_tokenizer())
    mined = make_mined(tmp_path / "mined", questions, paths)
    found = filtered(mined, tmp_path / "filtered", RulesConfig(min_perplexity=0.0, min_tokens=1))
    page = written(tmp_path, arm(found), logprobs=logprobs)
    has_tokens = page.columns("paths", 0)["flags"] & 64 > 0
    wanted = {
        "kept": [
            bool(path.token_ids) and each.reason is None for path, each in zip(paths, found.verdicts, strict=True)
        ],
        "all": [bool(path.token_ids) for path in paths],
        "none": [False] * len(paths),
    }[logprobs]
    assert has_tokens.tolist() == wanted
    assert page.header["pools"][0]["tokens"] == logprobs
    if logprobs == "none":
        assert page.header["pools"][0]["no_tokens"] and not [name for name in page.names if "tokens" in name]
        return
    for number, block in enumerate((paths[:64], paths[64:])):
        shown = [path for path, shows in zip(block, has_tokens[64 * number :], strict=False) if shows]
        total = sum(path.num_tokens for path in shown)
        steps, low, high = np.frombuffer(page.data(f"tokens-0-{number}"), "<u1").reshape(3, total)
        logprobs = [np.float32(each) for path in shown for each in path.logprobs]
        assert steps.tolist() == [round(12 * math.sqrt(-each)) for each in logprobs]
        codes = [code for path in shown for code in border_codes(path.text, pieces_of(path))]
        assert (low + 256 * high.astype(int)).tolist() == codes
    assert page.questions_of(0)[0]["first"][0] == [0, paths[0].text[:1]]


def test_a_student_that_is_not_here_leaves_tokens_out_and_says_so(made, tmp_path):
    for student in (StudentConfig(path=str(tmp_path / "gone")), None):
        assert "nobody knows where its tokens end" in find_pieces(student)
    assert made[2].header["pools"][0]["no_tokens"].startswith("No student was named")


def test_gains_of_paths_are_there_if_any_arm_has_them(made, tmp_path):
    paths, rounds, _ = made
    gains = [Gain(*path.key, None if place % 3 else place / 7, None, None) for place, path in enumerate(paths)]

    def fill(draft):
        write_table(draft.folder / "gains.parquet", gains, Gain)
        return {}

    scored = commit(tmp_path / "gains", fill, stage="gain", config={}, inputs={}, seed=0)
    with_gains = replace(rounds[1], mined=replace(rounds[1].mined, gains=scored))
    page = written(tmp_path, arm(rounds[0]), arm(with_gains))
    assert page.header["pools"][0]["gain"] is True and len(page.header["pools"]) == 1
    nats = [math.nan if each.nats is None else each.nats for each in gains]
    np.testing.assert_array_equal(page.columns("paths", 0)["gain"], nats)
    assert "gain" not in made[2].columns("paths", 0)


# ---- outputs, lone folders, damage


def test_outputs_are_those_of_the_questions(made, tmp_path):
    questions = make_questions(3)
    outputs = [
        Prediction(each.question_id, each.prompt, " (C).", "eos", 3, None, "C", False, True, False, 0.0, 0, False)
        for each in questions
    ]
    found = Outputs("evaluate-0", "demo", "sert", questions, outputs)
    page = written(tmp_path, arm(made[1][0], methods={"sert": found}), arm(methods={"sert": found}, seed=1))
    assert [each["methods"] for each in page.header["arms"]] == [{"sert": 0}, {"sert": 0}]
    assert [each["rounds"] for each in page.header["arms"]] == [[0], []]
    shown = page.json("outputs-0")
    assert shown["answer"] == ["C"] * 3 and shown["strict"] == [None] * 3 and shown["question"] == [0, 1, 2]
    assert shown["correct"] == [1] * 3 and shown["correct_strict"] == [0] * 3
    assert [page.header["sets"][page.header["outputs"][0]["set"]]["questions"]] == [3]


def test_paths_that_nobody_filtered_are_asked_by_the_papers_rules(made, tmp_path):
    _, rounds, _ = made
    lone = lone_paths(rounds[0].mined.artifact, None)
    page = written(tmp_path, arm(lone))
    expected = filter_paths(lone.mined.artifact, rules=RulesConfig(), out=tmp_path / "filtered")
    verdicts = read_table(expected.file("verdicts.parquet"), Verdict)
    assert list(lone.verdicts) == verdicts == list(lone.verdicts)
    assert page.columns("view", 0)["selected"].tolist() == [each.selected for each in verdicts]
    assert page.header["views"][0]["own"] is True and page.questions_of(0)[0]["examples"] == {}


def test_only_mined_folders_can_be_looked_at_alone(made):
    with pytest.raises(DataError, match="made by the step 'filter'"):
        lone_paths(made[1][0].artifact, None)


def test_verdicts_on_other_paths_are_damage(made, tmp_path):
    questions = make_questions(2)
    mined = make_mined(tmp_path / "mined", questions, make_paths(questions, branches=2, samples=1, seed=1))
    found = filtered(mined, tmp_path / "filtered")
    turned = replace(found, verdicts=list(found.verdicts)[::-1])
    with pytest.raises(DataError, match="in another order than their verdicts"):
        written(tmp_path, arm(turned))
    with pytest.raises(DataError, match="there are more of them"):
        written(tmp_path, arm(replace(found, verdicts=list(found.verdicts)[1:])))


def test_a_folder_without_paths_has_a_page(tmp_path):
    mined = make_mined(tmp_path / "mined", make_questions(2), [])
    page = written(tmp_path, arm(filtered(mined, tmp_path / "filtered")))
    assert page.header["pools"][0]["paths"] == 0 and page.header["pools"][0]["blocks"] == 0
    assert page.columns("paths", 0)["question_rows"].tolist() == [0]
