import json
import random

import pytest

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.duplicates import NearDuplicate
from sert.tasks.load import load_task
from sert.tasks.splits import LEAKED, NEARLY


def row(number, question, answer="yes", **more):
    return {"id": str(number), "question": question, "answer": answer, **more}


def odd(*numbers):
    return [row(number, f"Is {number} odd?") for number in numbers]


def write(folder, rows, name="train.jsonl"):
    file = folder / name
    file.write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")
    return file


def load(file, **settings):
    return load_task("mine", TaskConfig(kind="table", data=file, **{"columns": {"question_id": "id"}, **settings}))


def ids(data, split):
    return [each.question_id for each in data.split(split)]


def test_dev_is_a_share_of_train_and_test_is_untouched(tmp_path):
    train, test = write(tmp_path, odd(*range(4000))), write(tmp_path, odd(*range(5000, 5050)), name="test.jsonl")
    whole, data = load(train, test_data=test), load(train, test_data=test, dev_share=0.1)
    assert ids(whole, "dev") == []
    assert 324 <= len(ids(data, "dev")) <= 476  # 400, within four standard deviations
    assert sorted(ids(data, "train") + ids(data, "dev")) == sorted(ids(whole, "train"))
    assert data.split("test") == whole.split("test")
    assert not set(ids(data, "train")) & set(ids(data, "dev"))
    splits = [each.split for each in data.questions]
    assert splits == sorted(splits, key=["train", "dev", "test"].index)
    assert data.held_out == data.split("dev") + data.split("test")
    assert data.left_out == {}


def test_dev_depends_on_the_question_only(tmp_path):
    rows = odd(*range(400))
    dev = ids(load(write(tmp_path, rows), dev_share=0.25), "dev")
    part = random.Random(1).sample(rows, 200)
    drawn = ids(load(write(tmp_path, part), dev_share=0.25), "dev")
    assert set(drawn) == set(dev) & {each["id"] for each in part}
    assert drawn == [each["id"] for each in part if each["id"] in dev]  # in the order of the rows
    assert ids(load(write(tmp_path, rows), dev_share=0.25, limit=7), "dev") == dev[:7]
    assert set(dev) <= set(ids(load(write(tmp_path, rows), dev_share=0.4), "dev"))


def test_train_limit_leaves_what_is_tested_on(tmp_path):
    file = write(tmp_path, odd(*range(400)))
    whole, fewer = (load(file, test_share=0.3, dev_share=0.3, train_limit=limit) for limit in (None, 5))
    assert ids(fewer, "train") == ids(whole, "train")[:5]
    assert (ids(fewer, "dev"), ids(fewer, "test")) == (ids(whole, "dev"), ids(whole, "test"))
    assert len(ids(load(file, test_share=0.3, train_limit=5, limit=3), "train")) == 3


def test_limit_applies_to_each_split(tmp_path):
    data = load(write(tmp_path, odd(*range(400))), test_share=0.3, dev_share=0.3, limit=5)
    assert [len(data.split(split)) for split in ("train", "dev", "test")] == [5, 5, 5]


def test_dev_is_drawn_apart_from_test(tmp_path):
    file = write(tmp_path, odd(*range(2000)))
    tested = ids(load(file, test_share=0.3), "test")
    data = load(file, test_share=0.3, dev_share=0.3)
    assert ids(data, "test") == tested
    # 0.3 of the other 1,400; had both draws been the same, dev would be empty.
    assert 350 <= len(data.split("dev")) <= 490


def test_questions_with_the_same_words_stay_together(tmp_path):
    rows = []
    for number in range(60):
        for turn, (stem, other) in enumerate((("What holds {}?", "hat"), ("what HOLDS: {}", "saw"))):
            rows.append(row(f"{number}-{turn}", stem.format(number), "rope", options=["rope", other]))
    data = load(write(tmp_path, rows), dev_share=0.5, columns={"question_id": "id", "choices": "options"})
    dev = set(ids(data, "dev"))
    assert 30 < len(dev) < 90
    assert {f"{each.split('-')[0]}-{turn}" for each in dev for turn in (0, 1)} == dev
    assert len(data.questions) == 120


def test_a_test_question_is_not_drawn_to_dev_either(tmp_path):
    train, test = write(tmp_path, odd(*range(100))), write(tmp_path, odd(*range(50)), name="test.jsonl")
    test.write_text(test.read_text().replace('"id": "', '"id": "t'))
    data = load(train, test_data=test, dev_share=0.5)
    assert {int(each.question_id) for each in data.questions if each.split != "test"} == set(range(50, 100))
    assert data.left_out == {LEAKED: 50}


PAIRS = [row("a", "Where do cats sleep at night?"), row("b", "Where do almost all cats sleep?"), row("c", "Who swims?")]


def test_near_duplicates_of_test_questions_are_left_out_when_asked(tmp_path):
    train = write(tmp_path, PAIRS)
    test = write(tmp_path, [row("x", "Where do cats sleep?"), row("y", "Who swims")], name="test.jsonl")
    data = load(train, test_data=test)
    assert (ids(data, "train"), data.left_out, data.near_duplicates) == (["a", "b"], {LEAKED: 1}, ())
    data = load(train, test_data=test, near_duplicates=1)
    assert (ids(data, "train"), data.left_out) == (["a", "b"], {LEAKED: 1})
    train.write_text(train.read_text() + json.dumps(row("d", "Who sings?")))
    data = load(train, test_data=test, near_duplicates=0.6)
    assert ids(data, "train") == ["d"]
    assert ids(data, "test") == ["x", "y"]
    assert data.left_out == {LEAKED: 1, "train question nearly the same as one of the test split": 2}
    assert data.near_duplicates == (NearDuplicate("a", "x", "test", 4 / 6), NearDuplicate("b", "x", "test", 4 / 6))


def test_near_duplicates_of_dev_questions_are_left_out_of_train(tmp_path):
    # The two of a number share four of six words, those of different numbers three of seven.
    rows = [row(f"{number}{w}", f"Do {number} {number}{w} eat figs?") for number in range(40) for w in "kl"]
    file = write(tmp_path, rows)
    before, after = load(file, dev_share=0.3), load(file, dev_share=0.3, near_duplicates=0.6)
    assert ids(after, "dev") == ids(before, "dev")
    twin_of = {each["id"]: each["id"].translate(str.maketrans("kl", "lk")) for each in rows}
    twins = [each for each in ids(before, "train") if twin_of[each] in ids(before, "dev")]
    assert len(twins) > 5
    assert after.near_duplicates == tuple(NearDuplicate(each, twin_of[each], "dev", 4 / 6) for each in twins)
    assert after.left_out == {NEARLY["dev"]: len(twins)}
    assert ids(after, "train") == [each for each in ids(before, "train") if each not in twins]


def test_near_duplicates_of_both_splits_are_told_apart(tmp_path):
    rows = [row(f"{number}{w}", f"Do {number} {number}{w} eat figs?") for number in range(40) for w in "kl"]
    test = write(tmp_path, [row("x", "Do 7 owls eat figs?")], name="test.jsonl")
    data = load(write(tmp_path, rows), test_data=test, dev_share=0.3, near_duplicates=0.6)
    assert data.near_duplicates[:2] == (
        NearDuplicate("7k", "x", "test", 4 / 6),
        NearDuplicate("7l", "x", "test", 4 / 6),
    )
    others = [pair.split for pair in data.near_duplicates[2:]]
    assert len(others) > 5 and set(others) == {"dev"}
    assert data.left_out == {NEARLY["test"]: 2, NEARLY["dev"]: len(others)}
    assert len(data.questions) == 80 + 1 - 2 - len(others)


def test_a_share_that_leaves_nothing(tmp_path):
    file = write(tmp_path, odd(1, 2, 3))
    with pytest.raises(
        DataError, match=r"mine: a dev_share of 1e-09 of 3 train questions leaves the dev split empty; ra"
    ):
        load(file, dev_share=1e-9)
    with pytest.raises(
        DataError, match=r"a dev_share of 0\.999 of 3 train questions leaves the train split empty; lower"
    ):
        load(file, dev_share=0.999)
    with pytest.raises(DataError, match=r"a test_share of 1e-09 of 3 questions leaves the test split empty; raise it"):
        load(file, test_share=1e-9, limit=1)


def test_near_duplicates_that_leave_nothing_to_train_on(tmp_path):
    train = write(tmp_path, PAIRS[:2])
    test = write(tmp_path, [row("x", "Where do cats sleep?")], name="test.jsonl")
    with pytest.raises(
        DataError, match=r"the train split is empty\. 2 left out: train question nearly the same as one of"
    ):
        load(train, test_data=test, near_duplicates=0.5)


@pytest.mark.parametrize("kind", ["lab_yes_no", "lab_choice"])
def test_the_lab_has_a_dev_split_too(kind):
    whole, data = load_task("lab", TaskConfig(kind=kind)), load_task("lab", TaskConfig(kind=kind, dev_share=0.1))
    assert 5 <= len(data.split("dev")) <= 43  # 24, within four standard deviations
    assert sorted(ids(data, "train") + ids(data, "dev")) == ids(whole, "train")
    assert data.split("test") == whole.split("test")


@pytest.mark.parametrize("share", [0, 1, -0.1, True])
def test_shares_lie_between_0_and_1(share):
    with pytest.raises(ValueError, match="dev_share"):
        TaskConfig(kind="lab_choice", dev_share=share)


@pytest.mark.parametrize("least", [0, 1.01, True])
def test_similarities_lie_between_0_and_1(least):
    with pytest.raises(ValueError, match="near_duplicates"):
        TaskConfig(kind="lab_choice", near_duplicates=least)
