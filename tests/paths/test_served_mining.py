"""Mining by a server: the same paths as ours where nothing is drawn, and everything around it."""

import json
import math
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
import torch

import commands
from listening import Listening, StopsAt
from sert.config.mining import MiningCalls, MiningConfig, MiningEndpoint
from sert.config.tree import RulesConfig, StudentConfig
from sert.errors import ConfigError, EndpointError
from sert.paths.mining import mine, mining_job
from sert.records import Path, Question
from sert.store.artifacts import Artifact
from sert.store.stage import Result, key_of
from sert.store.tables import read_table
from sert.student.load import Student, load_student
from sert.student.source import StudentSource
from served_student import NAME, Manners, Served, served

SHAPE = MiningConfig(branches=3, samples=2, max_new_tokens=24, keep_all=True, max_lanes=24)
ROUNDS = 12
"""Requests by which a server is examined, at most."""


@pytest.fixture(scope="module")
def folder(student_folder: FilePath, tmp_path_factory: pytest.TempPathFactory) -> StudentConfig:
    """The tiny student, with a second token that ends its texts: one that it often writes."""
    place = tmp_path_factory.mktemp("ending") / "student"
    shutil.copytree(student_folder, place)
    settings = json.loads((place / "generation_config.json").read_text())
    (place / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [0, 241]}))
    return StudentConfig(path=str(place), device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def ending(folder: StudentConfig) -> Student:
    return load_student(folder)


def by(server: Served, config: MiningConfig = SHAPE, *, model: str = NAME, **calls: object) -> MiningConfig:
    """The same mining by a server."""
    endpoint = MiningEndpoint(url=server.url, model=model)
    changed = {"engine": "openai", "endpoint": endpoint, "calls": MiningCalls.model_validate(calls), "keep_all": True}
    return config.model_copy(update=changed)


def paths_of(mined: Artifact) -> list[Path]:
    return read_table(mined.file("paths.parquet"), Path)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"eos_branch": "continue"},
        {"branches": 0, "samples": 3},
        {"branches": 1, "samples": 1, "max_new_tokens": 1},
        {"branches": 7, "samples": 1, "max_new_tokens": 2, "max_lanes": 3},
    ],
    ids=["skip", "continue", "raw", "one token", "a shape that nobody listed"],
)
def test_greedy_paths_are_those_of_our_engine(
    shape: dict[str, object], questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    config = SHAPE.model_copy(update={"top_k": 1, **shape})
    ours = mine(questions, folder, out=tmp_path / "ours", config=config)
    with served(ending) as server:
        theirs = mine(questions, folder, out=tmp_path / "theirs", config=by(server, config))
    expected, found = paths_of(ours), paths_of(theirs)
    assert len(found) == len(questions) * config.paths_a_question
    alike = {"logprobs": (), "perplexity": 0.0, "first_token_logprob": None}
    assert [replace(each, **alike) for each in found] == [replace(each, **alike) for each in expected]
    for ours_, theirs_ in zip(expected, found, strict=True):
        assert theirs_.logprobs == pytest.approx(ours_.logprobs, abs=1e-4)
        assert theirs_.first_token_logprob == pytest.approx(ours_.first_token_logprob, abs=1e-4)
        assert theirs_.perplexity == pytest.approx(ours_.perplexity, rel=1e-3)
    if config.max_new_tokens > 2:
        assert {each.finish for each in found} == {"eos", "length"}
    assert ours.manifest["outputs"].keys() == theirs.manifest["outputs"].keys()


def test_sampled_paths_have_the_branches_and_log_probabilities_of_plain_forward_passes(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    with served(ending) as server:
        mined = mine(questions, folder, out=tmp_path / "mined", config=by(server))
    drawn = set()
    for question in questions:
        prompt = ending.encode_prompt(question.prompt)
        of_question = [each for each in paths_of(mined) if each.question_id == question.question_id]
        assert [(each.branch, each.sample) for each in of_question] == [(b, s) for b in range(3) for s in range(2)]
        with torch.no_grad():
            first = ending.model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        likely = [token for token in first.argsort(descending=True).tolist() if token not in (0, 241)][:3]
        assert [each.first_token_id for each in of_question[::2]] == likely
        for path in of_question:
            with torch.no_grad():
                shares = ending.model(torch.tensor([[*prompt, *path.token_ids]])).logits[0].log_softmax(-1)
            expected = [float(shares[len(prompt) - 1 + i, token]) for i, token in enumerate(path.token_ids)]
            assert path.logprobs == pytest.approx(expected, abs=1e-4)
            assert path.perplexity == pytest.approx(math.exp(-sum(expected) / len(expected)), rel=1e-4)
            assert not {0, 241} & {*path.token_ids}
            drawn.add(path.token_ids)
    assert len(drawn) > 12


def test_every_setting_is_sent_with_a_seed_of_its_own(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    config = SHAPE.model_copy(update={"top_k": 7, "top_p": 0.9, "temperature": 1.5})
    seeds = []
    for attempt in range(2):
        with served(ending) as server:
            mine(questions, folder, out=tmp_path / str(attempt), config=by(server, config), seed=5)
        prompts = {tuple(ending.encode_prompt(each.prompt)) for each in questions}
        sampled = [body for body in server.bodies if body["n"] == 2 and tuple(body["prompt"][:-1]) in prompts]
        assert len(sampled) == 12
        for body in sampled:
            given = {name: body[name] for name in ("top_k", "top_p", "temperature", "max_tokens", "logprobs")}
            assert given == {"top_k": 7, "top_p": 0.9, "temperature": 1.5, "max_tokens": 23, "logprobs": 0}
            assert (body["min_p"], body["repetition_penalty"], body["ignore_eos"]) == (0.0, 1.0, True)
            assert body["stop_token_ids"] == [0, 241]
            assert 0 <= body["seed"] < 2**31
        seeds.append({tuple(body["prompt"]): body["seed"] for body in sampled})
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0].values())) == 12


def test_manifest_and_terminal_say_who_sampled_and_that_it_cannot_be_repeated(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    reporter = Listening()
    with served(ending) as server:
        mined = mine(questions, folder, out=tmp_path / "mined", config=by(server), reporter=reporter)
    assert (mined.counts["driven_by"], mined.counts["repeatable"]) == ("openai", False)
    told = {"model": NAME, "software": "vllm", "version": "0.32.0", "root": "/models/tiny", "max_model_len": 192}
    assert mined.manifest["surroundings"] == [{"server": told}]
    assert "127.0.0.1" not in json.dumps(mined.manifest)
    said = "\n".join(reporter.said)
    assert "mine: sampled by vllm 0.32.0, which takes texts of 192 tokens, by token ids" in said
    assert "mine: warning: a server's samples cannot be repeated" in said
    verified = commands.sert("verify", tmp_path / "mined", cwd=tmp_path)
    assert verified.returncode == 0
    assert "served  mined: a server sampled it, which cannot be repeated" in verified.stdout


def test_the_key_holds_engine_and_model_and_neither_address_nor_how_it_is_called(
    questions: list[Question], folder: StudentConfig
) -> None:
    here, there = Served("http://127.0.0.1:1/v1"), Served("http://127.0.0.1:2/v1")
    keys = [
        key_of(mining_job(questions, student, config=config))
        for student, config in (
            (folder, by(here)),
            (folder, by(there, concurrency=3, timeout=5.0, max_attempts=2)),
            (folder.model_copy(update={"dtype": "int8"}), by(here)),  # nothing is decoded here
            (folder, by(here, model="another")),
            (folder, SHAPE),
        )
    ]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_what_was_written_without_a_server_stays_the_same(questions: list[Question], folder: StudentConfig) -> None:
    fields = {"branches", "samples", "top_k", "top_p", "temperature", "max_new_tokens", "eos_branch", "keep_all"}
    assert MiningConfig().model_dump().keys() == fields | {"max_lanes"}
    job = mining_job(questions, folder, config=SHAPE)
    assert job.settings()["mining"] == SHAPE.model_dump(mode="json")
    named = SHAPE.model_copy(update={"endpoint": MiningEndpoint(url="http://127.0.0.1:1/v1", model=NAME)})
    assert key_of(mining_job(questions, folder, config=named)) == key_of(job)  # it does not sample


def test_students_that_are_trained_here_sample_here(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    job = mining_job(questions, folder, config=by(Served("http://127.0.0.1:1/v1")))
    trained = replace(job, student=StudentSource(folder, Result("train", "train-sert", tmp_path / "t", "0" * 12)))
    ours = replace(trained, mining=SHAPE)
    assert (job.served, trained.served) == (True, False)
    assert (key_of(trained), trained.cost) == (key_of(ours), ours.cost)


def test_no_path_is_stopped_early(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    rules = RulesConfig(min_tokens=5, min_perplexity=0, max_rep_2=0.15, direct_response=False)
    config = SHAPE.model_copy(update={"keep_all": False})
    with served(ending) as server:
        asked = by(server, config).model_copy(update={"keep_all": False})
        mined = mine(questions, folder, out=tmp_path / "mined", config=asked, rules=rules)
    assert set(mined.counts["finish"]) <= {"eos", "length"} and mined.counts["stopped_early"] == {}


def test_questions_that_are_too_long_are_left_out_and_counted(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    asked = [*questions, replace(questions[0], question_id="long", prompt="x" * 180)]
    reporter = Listening()
    with served(ending) as server:
        mined = mine(asked, folder, out=tmp_path / "mined", config=by(server), reporter=reporter)
    assert (mined.counts["too_long"], mined.counts["paths"]) == (1, 24)
    assert any("'long'" in line for line in reporter.said)


def test_finished_units_are_not_asked_again(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    config = SHAPE.model_copy(update={"max_lanes": 6})  # two questions a unit
    with served(ending) as server, pytest.raises(KeyboardInterrupt):
        mine(questions, folder, out=tmp_path / "mined", config=by(server, config), reporter=StopsAt(14))
    with served(ending) as again:
        reporter = Listening()
        mined = mine(questions, folder, out=tmp_path / "mined", config=by(again, config), reporter=reporter)
    assert mined.counts["paths"] == 24
    assert "mine: 1 of 2 units were finished earlier" in reporter.said
    # Units go by the length of their prompts.
    order = sorted(questions, key=lambda each: len(each.prompt))
    done = [tuple(ending.encode_prompt(each.prompt)) for each in order[:2]]
    continued = {prompt[:-1] for prompt in again.prompts}
    assert not continued & {*done}
    assert continued >= {tuple(ending.encode_prompt(each.prompt)) for each in order[2:]}


def test_a_killed_command_goes_on(folder: StudentConfig, ending: Student, tmp_path: FilePath) -> None:
    arguments = "mine --task lab_yes_no --limit 12 --branches 2 --samples 2 --max-new-tokens 12 --model tiny".split()
    arguments += ["--student", folder.path, "--out", "mined", "--set", "mining.max_lanes=4"]
    with served(ending, Manners(seconds=0.05)) as server:
        child = commands.start(*arguments, "--endpoint", server.url, cwd=tmp_path)
        deadline = time.monotonic() + 60
        while not (units := [*tmp_path.glob(".mined.*/units/0*")]) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
        assert commands.wait(child).returncode == -signal.SIGKILL, "it ended before it was killed"
    assert units and not (tmp_path / "mined").exists()
    with served(ending) as again:  # at another address
        done = commands.sert(*arguments, "--endpoint", again.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "units were finished earlier" in done.stderr
    assert len(again.bodies) <= ROUNDS + 11 * 3


@pytest.mark.usefixtures("short_pauses")
def test_what_fails_is_asked_again(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    config = SHAPE.model_copy(update={"top_k": 1})
    failing = Manners(failures={2: 503, 5: 0, 7: 429, 9: 500, 10: 500})
    with served(ending, failing) as server:
        mined = mine(questions, folder, out=tmp_path / "failing", config=by(server, config))
    with served(ending) as server:
        whole = mine(questions, folder, out=tmp_path / "whole", config=by(server, config))
    assert mined.file("paths.parquet").read_bytes() == whole.file("paths.parquet").read_bytes()


@pytest.mark.usefixtures("short_pauses")
def test_a_server_that_fails_for_good_is_left_and_units_stay(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    config = SHAPE.model_copy(update={"max_lanes": 6})
    failing = Manners(failures=dict.fromkeys(range(16, 500), 500))
    with served(ending, failing) as server, pytest.raises(EndpointError) as error:
        mine(questions, folder, out=tmp_path / "mined", config=by(server, config, max_attempts=3))
    assert "failed 3 times in a row: HTTP 500: " in str(error.value)
    assert str(error.value).endswith("Finished units are kept; the same command goes on.")
    assert len([*tmp_path.glob(".mined.*/units/0*")]) == 1


def test_nobody_there(questions: list[Question], folder: StudentConfig, tmp_path: FilePath) -> None:
    nobody = by(Served("http://127.0.0.1:9/v1"), max_attempts=1)
    with pytest.raises(EndpointError, match="The endpoint is not there"):
        mine(questions, folder, out=tmp_path / "mined", config=nobody)


def test_the_key_is_sent_and_not_shown(
    questions: list[Question],
    folder: StudentConfig,
    ending: Student,
    tmp_path: FilePath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MINING_KEY", "sk-0123456789abcdef")
    card = {"id": NAME, "owned_by": "sk-0123456789abcdef \x1b[31m"}
    with served(ending, Manners(card=card)) as server:
        mined = mine(questions[:1], folder, out=tmp_path / "m", config=by(server, api_key_env="MINING_KEY"))
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-0123456789abcdef"}
    assert mined.manifest["surroundings"][0]["server"]["software"] == "[key] ?[31m"


REFUSED: dict[str, tuple[Manners, str]] = {
    "texts alone": (Manners(ids="texts"), "it gives no token ids"),
    "no log-probabilities": (Manners(logprobs="none"), "it gives no log-probability for each token"),
    "after truncation": (Manners(logprobs="processed"), "Start vLLM with --logprobs-mode raw_logprobs"),
    "logits": (Manners(logprobs="logits"), "not those of the whole vocabulary|for a log-probability"),
    "adds tokens": (Manners(adds=[0]), "it reads other tokens than the"),
    "adds tokens and tells only their number": (Manners(adds=[0], ids="names"), "it does not take ids"),
    "one sample": (Manners(ignores={"n"}), "samples in one request .n., it gives 1"),
    "no top-k": (Manners(ignores={"top_k"}), "it does not keep to top_k .mining.top_k.|not those of the whole"),
    "no top-p": (Manners(ignores={"top_p"}), "it does not keep to top_p .mining.top_p."),
    "no temperature": (Manners(ignores={"temperature"}), "it does not keep to temperature .mining.temperature."),
    "no limit": (Manners(ignores={"max_tokens"}), "it writes more than the 1 tokens|asked for"),
    "other ends": (Manners(ends=[*range(1, 257)]), "it ended a text with no token that ends the student's .0, 241."),
    "ends left out": (Manners(leaves_ends_out=True), "it leaves that token out"),
    "cuts": (Manners(longest=30), "it cut a text at"),
    "a short context": (Manners(card={"id": NAME, "max_model_len": 40}), "--max-model-len"),
    "another model": (Manners(card={"id": "other"}), "The endpoint serves other, and no 'tiny'"),
    "a field refused": (Manners(failures={1: 400}), r"HTTP 400: top_k: not now \(mining.top_k; take another server"),
    "a wrong key": (Manners(failures={1: 401}), "the key is missing or wrong"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_server_that_cannot_mine_is_refused_with_the_remedy(
    name: str, questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    manners, says = REFUSED[name]
    with served(ending, manners) as server, pytest.raises(EndpointError, match=says):
        mine(questions, folder, out=tmp_path / "mined", config=by(server))
    assert len(server.bodies) <= ROUNDS
    assert not (tmp_path / "mined").exists() and [*tmp_path.glob(".mined.*/units/*")] == []


def test_a_server_that_draws_all_with_one_seed_is_refused(
    questions: list[Question],
    folder: StudentConfig,
    ending: Student,
    tmp_path: FilePath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alike(*given: object) -> object:
        return choice(*given[:-1], 0) | {"index": given[-1]}

    import served_student

    choice = served_student._choice
    monkeypatch.setattr(served_student, "_choice", alike)
    with served(ending) as server, pytest.raises(EndpointError, match="all samples of a request are the same"):
        mine(questions, folder, out=tmp_path / "mined", config=by(server))


def test_names_of_tokens_do_where_there_is_no_field_for_them(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    with served(ending) as server:
        field = mine(questions, folder, out=tmp_path / "field", config=by(server))
    with served(ending, Manners(ids="names")) as server:
        names = mine(questions, folder, out=tmp_path / "names", config=by(server))
    assert field.file("paths.parquet").read_bytes() == names.file("paths.parquet").read_bytes()


def test_what_a_server_does_not_tell_is_left_out(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    with served(ending, Manners(card={"id": NAME}, version=None)) as server:
        mined = mine(questions[:1], folder, out=tmp_path / "mined", config=by(server))
    assert mined.manifest["surroundings"] == [{"server": {"model": NAME}}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"endpoint": None}, "set mining.endpoint.url and mining.endpoint.model"),
        ({"temperature": 0.001}, "mining.temperature = 0.001: servers take 0.01 to 2"),
        ({"temperature": 2.5}, "mining.temperature = 2.5"),
        ({"endpoint": MiningEndpoint(url="ftp://x/v1", model="m")}, "no http address"),
        ({"calls": MiningCalls(api_key_env="NOT_SET_AT_ALL")}, "NOT_SET_AT_ALL is not set"),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(
    changes: dict[str, object], says: str, questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    config = by(Served("http://127.0.0.1:9/v1")).model_copy(update=changes)
    with pytest.raises(ConfigError, match=says):
        mine(questions, folder, out=tmp_path / "mined", config=config)
    assert [*tmp_path.iterdir()] == []


def test_a_dry_run_asks_nothing_and_says_what_it_will(folder: StudentConfig, tmp_path: FilePath) -> None:
    arguments = "mine --task lab_yes_no --limit 4 --dry-run --out mined --endpoint http://127.0.0.1:9/v1".split()
    done = commands.sert(*arguments, "--model", "tiny", "--student", folder.path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sampled by 'tiny' at http://127.0.0.1:9/v1, in 24 requests; a dry run asks it nothing" in done.stdout
    assert "warning: a server's samples cannot be repeated" in done.stdout
    without = commands.sert(*arguments, "--student", folder.path, cwd=tmp_path)
    assert (without.returncode, "--endpoint needs --model" in without.stderr) == (2, True)


def test_no_more_requests_are_under_way_than_allowed(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    most = {}
    for allowed in (1, 5):
        with served(ending, Manners(seconds=0.02)) as server:
            mine(questions, folder, out=tmp_path / str(allowed), config=by(server, concurrency=allowed))
        most[allowed] = server.most_at_a_time
    assert most[1] == 1 < most[5] <= 5


@pytest.mark.usefixtures("short_pauses")
def test_a_server_that_is_too_slow_is_left(
    questions: list[Question], folder: StudentConfig, ending: Student, tmp_path: FilePath
) -> None:
    impatient = {"timeout": 0.05, "max_attempts": 2}
    with served(ending, Manners(seconds=0.5)) as server, pytest.raises(EndpointError) as error:
        mine(questions, folder, out=tmp_path / "mined", config=by(server, **impatient))
    assert "failed 2 times in a row: no reply within 0.05 seconds" in str(error.value)
