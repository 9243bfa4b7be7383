"""What a result depends on: a setting changes the key of every stage whose output it can change, or of none."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sert.config.load import apply_overrides
from sert.config.section import settings_of
from sert.config.tree import Config
from sert.evaluation.gains import GainJob, score_gains
from sert.evaluation.prediction import EvaluateJob, evaluate
from sert.judge.stage import JudgeJob, judge
from sert.method import build_graph
from sert.paths.filtering import FilterJob, filter_paths
from sert.paths.mining import MineJob, mine
from sert.records import Example
from sert.store.artifacts import Artifact, artifact_key, commit
from sert.store.stage import Stage, former_key, key_of
from sert.store.tables import questions_input
from sert.student.folder import LAB_STUDENT
from sert.student.training.stage import TrainJob, train
from sert.tasks.load import load_task
from sert.teacher.rationales import TeachJob, teach

NOTHING: set[str] = set()
SAMPLES = {"mine", "probe", "score"}
DECODING = {*SAMPLES, "evaluate"}
WEIGHTS = {"train", "gain"}
STUDENT = {*DECODING, *WEIGHTS}
EVERYTHING = {*DECODING, "train", "filter", "teach", "judge"}  # gains are of what these left
WITH_QUESTIONS = EVERYTHING - {"filter", "judge"}

# Setting -> another value, and the first words of the steps whose output it changes by itself; what is made of these
# changes with them. Whoever adds a setting says here what it changes.
EFFECTS: dict[str, tuple[str, set[str]]] = {
    "name": ('"other"', NOTHING),  # where the run lies
    "seed": ("7", EVERYTHING),
    "methods": ('["zero_shot", "sert"]', NOTHING),  # which stages there are
    "rounds": ("1", NOTHING),
    "student.path": ('"gpt2"', STUDENT),
    "student.revision": ('"v2"', STUDENT),  # of a student on the hub
    "student.dtype": ('"bfloat16"', DECODING),
    "student.prompt": ('"plain"', STUDENT),  # of a student with a chat template
    "student.system": ('"Be brief."', STUDENT),
    "student.thinking": ("true", STUDENT),
    "student.device": ('"cpu"', NOTHING),  # where it is done, and by how many
    "student.max_distance": ("0.2", NOTHING),  # what is refused
    "student.num_threads": ("1", NOTHING),
    "tasks.<name>.kind": ('"strategyqa"', NOTHING),  # how questions are read; their content is in the keys
    "tasks.<name>.data": ('"{folder}/fewer.jsonl"', {"mine", "train", "teach"}),
    "tasks.<name>.test_data": ('"{folder}/more.jsonl"', {"probe", "teach", "evaluate-zero_shot", "evaluate-rd"}),
    "tasks.<name>.split_file": ('"{folder}/split.json"', NOTHING),
    "tasks.<name>.hub": ('"some/set"', NOTHING),
    "tasks.<name>.hub_config": ('"main"', NOTHING),
    "tasks.<name>.hub_revision": ('"v2"', NOTHING),
    "tasks.<name>.train_split": ('"other"', NOTHING),
    "tasks.<name>.test_split": ('"other"', NOTHING),
    "tasks.<name>.test_share": ("0.5", NOTHING),
    "tasks.<name>.dev_share": ("0.6", {"mine", "train", "teach"}),
    "tasks.<name>.near_duplicates": ("0.8", {"mine", "train", "teach"}),
    "tasks.<name>.columns.question_id": ('"key"', WITH_QUESTIONS),
    "tasks.<name>.columns.question": ('"other"', WITH_QUESTIONS),
    "tasks.<name>.columns.choices": ('"options"', WITH_QUESTIONS),
    "tasks.<name>.columns.answer": ('"wrong"', WITH_QUESTIONS),
    "tasks.<name>.columns.labels": ('"names"', WITH_QUESTIONS),
    "tasks.<name>.columns.answer_is": ('"text"', WITH_QUESTIONS),
    "tasks.<name>.columns.answer_after": ('"#"', WITH_QUESTIONS),
    "tasks.<name>.columns.context": ('{named = "other"}', WITH_QUESTIONS),
    "tasks.<name>.bad_rows": ('"leave_out"', NOTHING),  # which questions there are; their content is in the keys
    "tasks.<name>.methods": ('["sert"]', NOTHING),
    "tasks.<name>.limit": ("1", WITH_QUESTIONS),
    "tasks.<name>.train_limit": ("1", {"mine", "train", "teach"}),
    "tasks.<name>.prompts.choices": ('"{question} Options: {choices}"', {"mine", "train", "teach"}),
    "tasks.<name>.prompts.choices_as": ('"none"', {"mine", "train", "teach", "gain"}),
    "tasks.<name>.prompts.student": ('"Q: {question}"', WITH_QUESTIONS),
    "tasks.<name>.prompts.label": ('" Well. So the answer is {answer}."', {"train"}),
    "tasks.<name>.prompts.path": ('" {path} Well. So the answer is {answer}."', {"mine", "gain"}),
    "tasks.<name>.prompts.teacher": ('"Q: {question} Let us think."', {"teach", "evaluate-rd", "evaluate-sert+rd"}),
    "tasks.<name>.prompts.rationale": ('" {rationale} Well. So the answer is {answer}."', {"teach"}),
    "tasks.<name>.rationales": ('"{folder}/more.jsonl"', {"teach"}),
    "mining.branches": ("3", {"mine", "score"}),
    "mining.samples": ("3", {"mine", "score"}),
    "mining.top_k": ("7", {*SAMPLES, "evaluate"}),
    "mining.top_p": ("0.5", {*SAMPLES, "evaluate"}),
    "mining.temperature": ("0.5", {*SAMPLES, "evaluate"}),
    "mining.max_new_tokens": ("9", SAMPLES),
    "mining.eos_branch": ('"continue"', SAMPLES),
    "mining.keep_all": ("true", {"mine"}),
    "mining.max_lanes": ("99", SAMPLES),  # by rounding
    "mining.engine": ('"openai"', {"mine"}),
    "mining.endpoint.url": ('"http://127.0.0.1:8/v1"', NOTHING),  # where the model is, which is in the key
    "mining.endpoint.model": ('"other"', {"mine"}),
    "mining.calls.api_key_env": ('"SOME_KEY"', NOTHING),
    "mining.calls.concurrency": ("3", NOTHING),
    "mining.calls.timeout": ("9.0", NOTHING),
    "mining.calls.max_attempts": ("3", NOTHING),
    "rules.imitation": ("false", {"mine", "filter", "evaluate"}),
    "rules.option_repetition": ("false", {"mine", "filter", "evaluate"}),
    "rules.direct_response": ("false", {"mine", "filter", "evaluate"}),
    "rules.min_tokens": ("7", {"mine", "filter", "evaluate"}),
    "rules.max_rep_2": ("0.5", {"mine", "filter", "evaluate"}),
    "rules.min_perplexity": ("2.0", {"mine", "filter", "evaluate"}),
    "rules.max_perplexity": ("9.0", {"mine", "filter"}),
    "rules.unfinished": ('"trim"', {"mine", "filter"}),
    "rules.unit": ('"words"', {"mine", "filter", "evaluate"}),
    "rules.perplexity_over": ('"continuation"', {"mine", "filter", "evaluate"}),
    "rules.max_dropped_share": ("0.5", {"filter"}),
    "selection.rules": ("[]", {"mine", "filter"}),
    "selection.order": ('"random"', {"mine", "filter"}),
    "selection.only_agreeing": ("true", {"mine", "filter"}),
    "selection.shuffled": ("true", {"mine", "filter"}),
    "selection.only_sometimes_right": ("true", {"mine", "filter"}),
    "selection.max_per_question": ("2", {"mine", "filter"}),
    "training.batch_size": ("3", {"train"}),
    "training.micro_batch_size": ("2", {"train"}),
    "training.learning_rate": ("0.5", {"train"}),
    "training.epochs": ("2.0", {"train"}),
    "training.max_steps": ("9", {"train"}),
    "training.weight_decay": ("0.5", {"train"}),
    "training.warmup_steps": ("2", {"train"}),
    "training.schedule": ('"linear"', {"train"}),
    "training.max_grad_norm": ("1.0", {"train"}),
    "training.adam_betas": ("[0.5, 0.5]", {"train"}),
    "training.max_length": ("99", {"train"}),
    "training.loss_on_prompt": ("true", {"train"}),
    "training.autocast": ('"bf16"', {"train"}),
    "training.snapshots": ("3", {"train"}),
    "training.gradient_checkpointing": ("true", {"train"}),
    "training.forgetting": ('"{folder}/held-out.jsonl"', {"train"}),
    "training.lora.rank": ("3", {"train"}),
    "training.lora.alpha": ("3", {"train"}),
    "training.lora.dropout": ("0.5", {"train"}),
    "training.lora.targets": ('["c_attn"]', {"train"}),
    "training.lora.dora": ("true", {"train"}),
    "training.lora.output": ('"adapter"', {"train"}),
    "teacher.kind": ('"recorded"', {"teach"}),
    "teacher.num_rationales": ("2", {"train-rd", "train-sert+rd"}),
    "teacher.only_correct": ("true", {"teach"}),
    "teacher.keep_flagged": ("true", {"teach"}),
    "teacher.thinking": ('"keep"', {"teach"}),
    "judge.output": ('"lines"', {"judge"}),
    "judge.limit": ("1", {"judge"}),  # but that paths are judged all
    "judge.repeats": ("2", {"judge"}),
    "evaluation.max_new_tokens": ("9", {"evaluate"}),
    "evaluation.max_lanes": ("99", {"evaluate"}),
    "evaluation.max_format_rep_2": ("0.9", {"evaluate"}),
    "evaluation.votes": ("5", {"evaluate"}),
    "evaluation.likelihood": ("true", {"evaluate"}),
    "evaluation.gain": ("false", NOTHING),  # which stages there are
    "evaluation.harness": ('"compat"', {"evaluate"}),
    "evaluation.epoch_choice": ('"last"', NOTHING),  # what is chosen among the results
    "evaluation.scored_questions": ("0", NOTHING),  # which stages there are
    "evaluation.probe_samples": ("0", NOTHING),
    "execution.engine": ('"ray"', NOTHING),
    "execution.address": ('"auto"', NOTHING),
    "execution.workers": ("2", NOTHING),
    "execution.gpus_per_worker": ("1.0", NOTHING),
    "execution.mixed": ("true", NOTHING),
    "execution.checkpoint_seconds": ("9.0", NOTHING),
    "report.explore": ("false", NOTHING),  # what is written of the results
    "report.tracker": ('"wandb"', NOTHING),  # who is told of them
    "execution.keep_units": ("false", NOTHING),
}
_ENDPOINT = {
    "url": '"http://127.0.0.1:8/v1"',
    "model": '"other"',
    "api": '"completions"',
    "temperature": "0.5",
    "top_p": "0.5",
    "max_tokens": "9",
    "token_limit_field": '"max_completion_tokens"',
    "stop": '["x"]',
    "seed": "7",
    "extra_body": "{top_k = 3}",
    "finish_reasons": '{done = "stop"}',
}
_CALLS = {  # how an endpoint is called and paid for does not change what it answers
    "api_key_env": '"SOME_KEY"',
    "max_cost": '"3"',
    "free": "false",
    "price": '["1", "2"]',
    "batch": "true",
    "concurrency": "3",
    "requests_per_minute": "9.0",
    "tokens_per_minute": "9.0",
    "timeout": "9.0",
    "max_attempts": "3",
    "max_item_seconds": "9.0",
    "first_answers": "0",
    "max_reply_bytes": "4096",
}
for _who, _step in (("teacher", "teach"), ("judge", "judge")):
    EFFECTS |= {f"{_who}.endpoint.{name}": (value, {_step}) for name, value in _ENDPOINT.items()}
    EFFECTS |= {f"{_who}.calls.{name}": (value, NOTHING) for name, value in _CALLS.items()}

# Settings of columns -> what they need beside them.
COLUMN_NEEDS = {
    "labels": {"columns.choices": '"options"'},
    "answer_is": {"columns.choices": '"options"', "columns.labels": '"names"'},
    "answer_after": {"columns.answer": '"marked"'},
    "context": {"columns.context": '{named = "key"}', "prompts.student": '"{named} {question}"'},
}

# What else is set where a server samples the paths.
SERVED = ["mining.endpoint.url=http://127.0.0.1:9/v1", "mining.endpoint.model=m"]

# Settings of questions that cannot be changed one at a time: others must go or come with them.
OTHER_SOURCES = {
    f"tasks.<name>.{name}" for name in "kind split_file hub hub_config hub_revision train_split test_split".split()
} | {"tasks.<name>.test_share"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Question files, the second with one question more and other columns beside."""
    folder = tmp_path_factory.mktemp("questions")
    asked = [
        "Can a large grey heron swim across the lake?",
        "Is ice cold?",
        "Do stones sing at night?",
        "Was bread known to the Romans?",
        "Have whales got feathers?",
        "Does salt dissolve in water?",
        "Are all squares rectangles?",
        "Will iron float on mercury?",
        "Can a large gray heron swim across the lake?",
        "Is the moon made of cheese?",
        "Do spiders have eight legs?",
        "Did Mozart own a telephone?",
    ]
    text = [
        json.dumps(
            {
                "key": f"n{number}",
                "question": question,
                "other": f"Truly: {question}",
                "options": ["yes", "no", "perhaps"],
                "names": ["no", "yes", "none"],
                "marked": "well # no" if number % 2 else "well # yes",
                "answer": "no" if number % 2 else "yes",
                "wrong": "yes" if number % 2 else "no",
            }
        )
        for number, question in enumerate(asked)
    ]
    (folder / "train.jsonl").write_text("\n".join(text[:8]) + "\n")
    (folder / "test.jsonl").write_text("\n".join(text[8:11]) + "\n")
    (folder / "more.jsonl").write_text("\n".join(text[8:]) + "\n")
    (folder / "held-out.jsonl").write_text('{"text": "Some other text."}\n')
    (folder / "fewer.jsonl").write_text("\n".join(text[:7]) + "\n")
    shutil.copytree(LAB_STUDENT, folder / "chatty")
    (folder / "chatty" / "chat_template.jinja").write_text("{{ messages[-1].content }}")
    return folder


def config_of(folder: Path, *overrides: str) -> Config:
    """Make a configuration that has every kind of stage, with some settings changed."""
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    tree: dict[str, Any] = {
        "name": "keys",
        "rounds": 2,
        "student": {"path": "lab"},
        "tasks": {"t": {"kind": "table", "data": f"{folder}/train.jsonl", "test_data": f"{folder}/test.jsonl"}},
        "training": {"snapshots": 2},
        "teacher": {"kind": "endpoint", "endpoint": endpoint, "calls": {"free": True}},
        "judge": {"endpoint": endpoint, "calls": {"free": True}},
        "evaluation": {"votes": 3, "scored_questions": 2, "probe_samples": 2, "epoch_choice": "dev", "gain": True},
    }
    tree["tasks"]["t"]["dev_share"] = 0.4
    return Config.model_validate(apply_overrides(tree, overrides))


def stages_of(config: Config) -> dict[str, Stage]:
    graph = build_graph("t", config, load_task("t", config.tasks["t"]), out=Path("nowhere"))
    return {stage.job.step: stage for stage in graph.stages}


def override(folder: Path, path: str, value: str) -> str:
    return f"{path.replace('<name>', 't')}={value.replace('{folder}', str(folder))}"


def with_needs(folder: Path, path: str, value: str) -> tuple[list[str], list[str]]:
    """List the overrides of a configuration, and those of the same with one setting changed."""
    changed = override(folder, path, value)
    if path.startswith("training.lora."):
        return ["training.lora={}"], ["training.lora={}", changed]
    needed = COLUMN_NEEDS.get(path.rpartition(".")[2])
    if path.startswith("tasks.<name>.columns.") and needed:
        before = [override(folder, f"tasks.<name>.{each}", other) for each, other in needed.items()]
        return before, [*before, changed]
    if path in ("student.prompt", "student.system", "student.thinking"):
        chatty = f"student.path={folder}/chatty"
        return [chatty], [chatty, changed]
    if path.startswith(("mining.engine", "mining.endpoint.", "mining.calls.")):
        before = [*SERVED, *([] if path == "mining.engine" else ["mining.engine=openai"])]
        return before, [*before, changed]
    if path == "student.revision":
        return ["student.path=gpt2"], ["student.path=gpt2", changed]
    return [], [changed]


def test_what_is_off_leaves_the_key_of_earlier_results_alone(folder: Path) -> None:
    written = {"training.lora": "{}", "training.gradient_checkpointing": "true"}
    plain = {name: stage.job.settings() for name, stage in stages_of(config_of(folder)).items()}
    assert plain["train-sert"]["training"].keys() == set(
        "batch_size micro_batch_size learning_rate epochs max_steps weight_decay warmup_steps schedule max_grad_norm "
        "adam_betas max_length loss_on_prompt autocast snapshots".split()
    )
    for path, value in written.items():
        on = stages_of(config_of(folder, f"{path}={value}"))
        changed = {name for name, stage in on.items() if stage.job.settings() != plain[name]}
        assert changed == {name for name in plain if name.startswith("train-")}, path


def test_rules_that_are_off_leave_the_key_of_earlier_results_alone(folder: Path) -> None:
    before = ["imitation", "option_repetition", "direct_response", "length", "repetition", "perplexity"]
    for overrides in ((), (f"selection.rules={json.dumps(before)}",)):
        stages = stages_of(config_of(folder, *overrides))
        settings = stages["filter"].job.settings()
        assert settings["rules"].keys() == set(
            "imitation option_repetition direct_response min_tokens max_rep_2 min_perplexity unit perplexity_over "
            "max_dropped_share".split()
        )
        assert settings["selection"]["rules"] == before
        assert stages["mine"].result.key == stages_of(config_of(folder))["mine"].result.key
    asked = [*before, "unfinished"]
    without, asks = (
        stages_of(config_of(folder, 'rules.unfinished="drop"', f"selection.rules={json.dumps(names)}"))["filter"]
        for names in (before, asked)
    )
    assert asks.result.key == stages_of(config_of(folder, 'rules.unfinished="drop"'))["filter"].result.key
    assert asks.result.key != without.result.key


def test_a_percentile_is_written_in_one_form_and_mines_everything(folder: Path) -> None:
    stages = [
        stages_of(config_of(folder, *each))
        for each in (["rules.min_perplexity=p25"], ["rules.min_perplexity=p25.0"], ["rules.min_perplexity=p30"])
    ]
    assert stages[0]["filter"].result.key == stages[1]["filter"].result.key != stages[2]["filter"].result.key
    whole = stages_of(config_of(folder, "mining.keep_all=true"))["mine"]
    assert {each["mine"].result.key for each in stages} == {whole.result.key}  # one mining for all of them


def test_what_is_read_knows_the_version_of_its_reading(folder: Path) -> None:
    read = {name for name, stage in stages_of(config_of(folder)).items() if "reading" in stage.job.settings()}
    assert {name.partition("-")[0] for name in read} == {"mine", "filter", "teach", "evaluate", "gain"}
    whole = stages_of(config_of(folder, "mining.keep_all=true"))
    assert not any("reading" in stage.job.settings() for name, stage in whole.items() if name.startswith("mine"))


def test_where_gains_are_on_no_other_stage_has_another_key_and_all_that_is_written_is_scored(folder: Path) -> None:
    off, on = (stages_of(config_of(folder, f"evaluation.gain={each}")) for each in ("false", "true"))
    assert {step: stage.result.key for step, stage in off.items()} == {
        step: on[step].result.key for step in on if not step.startswith("gain-")
    }
    of_students = {f"evaluate-{method}": f"train-{method}" for method in ("finetune", "rd", "sert+rd")}
    scored = {"mine": None, "mine-2": "train-sert", "teach": None, "evaluate-zero_shot": None} | of_students
    assert {step for step in on if step.startswith("gain-")} == {f"gain-{step}" for step in (*scored, "evaluate-sert")}
    for step, writer in scored.items():
        assert [each.step for each in on[f"gain-{step}"].needs] == [step, *([writer] if writer else [])]
    assert [each.step for each in on["gain-evaluate-sert"].needs] == ["evaluate-sert", "train-sert-2"]


def test_a_selection_by_gain_waits_for_the_gains_of_each_round(folder: Path) -> None:
    stages = stages_of(config_of(folder, "selection.order=gain", "evaluation.gain=false"))
    assert {step for step in stages if step.startswith("gain-")} == {"gain-mine", "gain-mine-2"}
    for ending in ("", "-2"):
        needs = [each.step for each in stages[f"filter{ending}"].needs]
        assert needs == [f"mine{ending}", f"gain-mine{ending}"]


LEAVES = {setting.path for setting in settings_of(Config) if setting.section is None}


def test_of_every_setting_it_is_said_what_it_changes() -> None:
    assert EFFECTS.keys() == LEAVES


@pytest.mark.parametrize("path", sorted(LEAVES - OTHER_SOURCES))
def test_in_a_run_a_setting_changes_the_stages_whose_output_it_can_change(folder: Path, path: str) -> None:
    value, steps = EFFECTS[path]
    before, after = (stages_of(config_of(folder, *each)) for each in with_needs(folder, path, value))
    common = before.keys() & after.keys()
    changed = {step for step in common if before[step].result.key != after[step].result.key}
    expected = {step for step in common if step in steps or step.partition("-")[0] in steps}
    if path == "judge.limit":
        expected.remove("judge-paths")
    assert expected <= changed, expected - changed
    of_others = {step for step in common if before[step].needs != after[step].needs}
    assert of_others <= changed  # what is made of something else is something else
    assert steps or changed == of_others


# ---- alone


def key_alone(monkeypatch: pytest.MonkeyPatch, job: type, call: Callable[[], Artifact]) -> str:
    """Tell by which key a single command knows its result."""
    with monkeypatch.context() as patched:
        patched.setattr(job, "make", lambda self, folder, **_: key_of(self))
        return str(call())


def commands(config: Config, folder: Path, mined: Artifact) -> Mapping[str, tuple[type, Callable[[], Artifact]]]:
    data = load_task("t", config.tasks["t"])
    train_questions, prompts, out = data.split("train"), config.tasks["t"].prompts, folder / "out"
    examples = [Example("q", "Is it?", " So the answer is yes.", "label")]
    return {
        "mine": (
            MineJob,
            lambda: mine(
                train_questions,
                config.student,
                out=out,
                config=config.mining,
                rules=config.rules,
                prompts=prompts,
                execution=config.execution,
                seed=config.seed,
            ),
        ),
        "filter": (FilterJob, lambda: filter_paths(mined, rules=config.rules, selection=config.selection, out=out)),
        "gain": (GainJob, lambda: score_gains(mined, config.student, out=out, prompts=prompts)),
        "train": (
            TrainJob,
            lambda: train(
                examples, config.student, out=out, config=config.training, execution=config.execution, seed=config.seed
            ),
        ),
        "teach": (
            TeachJob,
            lambda: teach(
                train_questions,
                out=out,
                held_out=data.held_out,
                teacher=config.teacher,
                prompts=prompts,
                recorded=config.tasks["t"].rationales,
            ),
        ),
        "evaluate": (
            EvaluateJob,
            lambda: evaluate(
                data.split("test"),
                config.student,
                out=out,
                config=config.evaluation,
                rules=config.rules,
                sampling=config.mining,
                execution=config.execution,
                seed=config.seed,
            ),
        ),
        "judge": (JudgeJob, lambda: judge({"mined": mined.folder}, out=out, config=config.judge)),
    }


# What a single command has no part of: its examples come as they are, its selection cannot change how it mined, ...
_NOT_ALONE = {
    ("train", "tasks.<name>.prompts.label"),
    ("train", "tasks.<name>.prompts.student"),
    ("train", "teacher.num_rationales"),
    ("teach", "seed"),
    ("filter", "seed"),
    ("judge", "seed"),
}


@pytest.mark.parametrize("path", sorted(LEAVES - OTHER_SOURCES - {"evaluation.harness"}))
def test_alone_a_setting_changes_the_result_that_it_can_change(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sesame")
    mined = commit(folder / "mined", lambda draft: {}, stage="mine", config={}, inputs={}, seed=0)
    value, steps = EFFECTS[path]
    before, after = (commands(config_of(folder, *each), folder, mined) for each in with_needs(folder, path, value))
    for kind, (job, call) in before.items():
        unchanged = key_alone(monkeypatch, job, call) == key_alone(monkeypatch, *after[kind])
        of_questions = path.startswith("tasks.") and kind == "train"
        of_selection = path.startswith("selection.") and kind == "mine"
        if kind in steps and (kind, path) not in _NOT_ALONE and not of_questions and not of_selection:
            assert not unchanged, kind
        if not steps:
            assert unchanged, kind


def test_a_run_keeps_trainings_of_versions_whose_keys_held_the_type_it_decodes_with(
    folder: Path, tmp_path: Path
) -> None:
    config = config_of(folder, "student.dtype=bfloat16")
    data = load_task("t", config.tasks["t"])

    def stages() -> dict[str, Stage]:
        return {each.job.step: each for each in build_graph("t", config, data, out=tmp_path).stages}

    new = stages()
    former = former_key(new["train-finetune"].job)
    assert former != new["train-finetune"].result.key == key_of(new["train-finetune"].job)
    commit(tmp_path / f"t-train-finetune-{former}", lambda draft: {}, stage="train", config={}, inputs={}, seed=0)
    kept = stages()
    assert kept["train-finetune"].result.key == former and kept["train-finetune"].finished
    tested = kept["evaluate-finetune"].job
    before = {**questions_input(tested.questions), "train-finetune": former}
    assert former_key(tested) == artifact_key(tested.step, config=tested.settings(), inputs=before, seed=tested.seed)
    assert key_of(tested) != former_key(tested)  # the type that it decodes with is in it now
