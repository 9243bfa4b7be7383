"""Configurations with one mistake each: the message names the key, the place, and what was meant."""

from pathlib import Path

import pytest

from sert.config.load import LARGEST_CONFIG, load_config, stage_config
from sert.errors import ConfigError

GOOD = """\
name = "x"
seed = 1
methods = ["zero_shot"]
[student]
path = "lab"
[tasks.own]
kind = "table"
data = "own.jsonl"
[tasks.own.columns]
answer = "gold"
[tasks.own.prompts]
student = "Q: {question}"
[mining]
branches = 5
[rules]
min_tokens = 10
[training]
epochs = 1
[teacher]
kind = "endpoint"
[teacher.endpoint]
url = "http://127.0.0.1:1/v1"
model = "m"
[teacher.calls]
free = true
[judge]
limit = 3
[judge.endpoint]
url = "http://127.0.0.1:1/v1"
model = "m"
[judge.calls]
free = true
[evaluation]
max_new_tokens = 8
"""

# The section, the key that does not exist, and what should be proposed.
MISSPELT = [
    ("", "nam", "name"),
    ("", "Seed", "seed"),
    ("", "method", "methods"),
    ("", "studnet", "student"),
    ("", "task", "tasks"),
    ("", "minning", "mining"),
    ("", "rule", "rules"),
    ("", "trainning", "training"),
    ("", "teachers", "teacher"),
    ("", "evalution", "evaluation"),
    ("student", "pth", "path"),
    ("student", "revison", "revision"),
    ("student", "d_type", "dtype"),
    ("student", "num-threads", "num_threads"),
    ("student", "model_name_or_path", "path"),
    ("tasks.own", "knd", "kind"),
    ("tasks.own", "dta", "data"),
    ("tasks.own", "testdata", "test_data"),
    ("tasks.own", "split_files", "split_file"),
    ("tasks.own", "test_shar", "test_share"),
    ("tasks.own", "prompt", "prompts"),
    ("tasks.own", "rationale", "rationales"),
    ("tasks.own.columns", "id", "question_id"),
    ("tasks.own.columns", "answr", "answer"),
    ("tasks.own.columns", "choises", "choices"),
    ("tasks.own.prompts", "studnt", "student"),
    ("tasks.own.prompts", "rational", "rationale"),
    ("tasks.own.prompts", "Teacher", "teacher"),
    ("mining", "branch", "branches"),
    ("mining", "sample", "samples"),
    ("mining", "topk", "top_k"),
    ("mining", "top-p", "top_p"),
    ("mining", "temprature", "temperature"),
    ("mining", "maxNewTokens", "max_new_tokens"),
    ("mining", "max_lane", "max_lanes"),
    ("mining", "min_tokens", "rules.min_tokens"),
    ("rules", "min_token", "min_tokens"),
    ("rules", "max_rep2", "max_rep_2"),
    ("rules", "min_perplexty", "min_perplexity"),
    ("rules", "imitations", "imitation"),
    ("rules", "direct_respons", "direct_response"),
    ("rules", "branches", "mining.branches"),
    ("training", "batchsize", "batch_size"),
    ("training", "lr", "learning_rate"),
    ("training", "num_train_epochs", "epochs"),
    ("training", "warmup", "warmup_steps"),
    ("training", "scheduler", "schedule"),
    ("training", "seed", "seed"),
    ("training", "max_step", "max_steps"),
    ("training", "weight_decy", "weight_decay"),
    ("teacher", "only_corect", "only_correct"),
    ("teacher", "endpont", "endpoint"),
    ("teacher.endpoint", "max_token", "max_tokens"),
    ("teacher.endpoint", "base_url", "url"),
    ("teacher.calls", "max_costs", "max_cost"),
    ("teacher.calls", "concurency", "concurrency"),
    ("judge", "repeat", "repeats"),
    ("judge.calls", "time_out", "timeout"),
    ("evaluation", "max_tokens", "max_new_tokens"),
    ("evaluation", "probe_sample", "probe_samples"),
]


def insert(section: str, line: str) -> tuple[str, int]:
    """Put a line at the beginning of a section; return the text and the line's number."""
    lines = GOOD.splitlines()
    at = lines.index(f"[{section}]") + 1 if section else 0
    return "\n".join([*lines[:at], line, *lines[at:], ""]), at + 1


def refused(file: Path, text: str, *overrides: str) -> str:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(file, overrides=overrides)
    return str(error.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.toml"


def test_the_configuration_that_is_mutated_is_good(file: Path) -> None:
    file.write_text(GOOD)
    assert load_config(file).rules.min_tokens == 10


def test_sixty_misspelt_keys_are_named_and_nearly_all_are_known(file: Path) -> None:
    named, suggested = 0, []
    for section, key, meant in MISSPELT:
        text, line = insert(section, f'"{key}" = 1')
        message = refused(file, text)
        dotted = f"{section}.{key}" if section else key
        named += f"line {line}: unknown key {dotted!r}" in message
        suggested.append(f"unknown key {dotted!r}; did you mean {meant!r}?" in message)
    assert len(MISSPELT) == len(set(MISSPELT)) == 60
    assert named == 60
    assert sum(suggested) >= 54, [case for case, known in zip(MISSPELT, suggested, strict=True) if not known]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rules.min_token=3", "--set rules.min_token: unknown key 'rules.min_token'; did you mean 'min_tokens'?"),
        ("rulez.min_tokens=3", "--set rulez: unknown key 'rulez'; did you mean 'rules'?"),
        ("min_tokens=3", "--set min_tokens: unknown key 'min_tokens'; did you mean 'rules.min_tokens'?"),
        (
            "tasks.own.columns.gold=x",
            "unknown key 'tasks.own.columns.gold'; allowed: answer, answer_after, answer_is",
        ),
        ("tasks.own.dat=x", "unknown key 'tasks.own.dat'; did you mean 'data'?"),
        ("rules.min_tokens=many", "--set rules.min_tokens: 'rules.min_tokens' = 'many': input should be a valid int"),
        ("tasks.Own.kind=table", "'tasks.Own' is no name: a-z, 0-9, _ and - are allowed"),
        ("rules=3", "'rules' = 3: this is a section, a table with the keys direct_response, imitation"),
        ("methods.0=sert", "Cannot set 'methods.0': 'methods' is a value, not a section"),
        ("methods=[]", "'methods' = []: list should have at least 1 item"),
        ("rules.min_tokens", "Cannot read the override 'rules.min_tokens'; write it as section.key=value."),
        ("rules..min_tokens=3", "write it as section.key=value."),
        (".=3", "write it as section.key=value."),
        ("", "Cannot read the override ''; write it as section.key=value."),
        ("name=\udcff", "is not UTF-8 text"),
        ("name=" + 200_000 * "x", "is too long or too deeply nested"),
        (".".join(100_000 * "a") + "=1", "is too long or too deeply nested"),
        ("name=" + 100_000 * "[", "is nested too deeply"),
        ("student.path=a\nb=2", None),
    ],
)
def test_overrides_are_named(file: Path, override: str, says: str | None) -> None:
    if says is None:  # a value of two lines is a text, it smuggles in no second key
        file.write_text(GOOD)
        assert load_config(file, overrides=[override]).student.path == "a\nb=2"
        return
    message = refused(file, GOOD, override)
    assert says in message
    assert len(message) < 1500


WRONG = [
    ("", "judge = 3", None),  # twice: once here and once as a section
    ("student", "num_threads = 0", "'student.num_threads' = 0: input should be greater than or equal to 1"),
    ("student", 'dtype = "float64"', "'student.dtype' = 'float64': input should be 'float32', 'auto'"),
    ("student", "revision = 7", "'student.revision' = 7: input should be a valid string"),
    ("tasks.own", "limit = 0", "'tasks.own.limit' = 0: input should be greater than or equal to 1"),
    ("tasks.own", "test_share = 1.0", "'tasks.own.test_share' = 1.0: input should be less than 1"),
    ("tasks.own", "test_data = 3", "'tasks.own.test_data' = 3: input is not a valid path"),
    ("tasks.own", 'test_data = "a\\u0000b"', "a file's name may not hold a NUL character"),
    ("tasks.own", f'test_data = "{300 * "x"}"', "a name may have 255 bytes and a whole path 4095"),
    ("tasks.own.columns", "question = []", "'tasks.own.columns.question' = []: input should be a valid string"),
    ("mining", "top_p = 1.5", "'mining.top_p' = 1.5: input should be less than or equal to 1"),
    ("mining", "temperature = nan", "'mining.temperature' = nan: input should be a finite number"),
    ("mining", "temperature = inf", "'mining.temperature' = inf: input should be a finite number"),
    ("mining", "samples = true", "'mining.samples' = True: true and false are no value for it"),
    ("mining", "samples = 2.5", "'mining.samples' = 2.5: input should be a valid integer"),
    ("mining", 'keep_all = "maybe"', "'mining.keep_all' = 'maybe': input should be a valid boolean"),
    ("rules", "max_rep_2 = -1", "'rules.max_rep_2' = -1: input should be greater than or equal to 0"),
    ("rules", "max_rep_2 = 1979-05-27", "'rules.max_rep_2' = datetime.date(1979, 5, 27)"),
    ("training", "adam_betas = [0.9]", "'training.adam_betas.1' is missing"),
    ("training", 'adam_betas = [0.9, "x"]', "'training.adam_betas.1' = 'x': input should be a valid number"),
    ("training", "learning_rate = 0", "'training.learning_rate' = 0: input should be greater than 0"),
    ("teacher.endpoint", 'temperature = "hot"', "'teacher.endpoint.temperature' = 'hot': input should be a valid num"),
    ("teacher.endpoint", "extra_body = {n = 2}", "'teacher.endpoint.extra_body' = {'n': 2}: it may not hold n"),
    ("teacher.calls", 'api_key_env = "sk-1"', "'teacher.calls.api_key_env' must be the name of an environment"),
    ("teacher.calls", "price = [1]", "'teacher.calls.price.1' is missing"),
    ("judge", "output = 3", "'judge.output' = 3: input should be 'auto', 'lines' or 'json_schema'"),
    ("evaluation", "max_lanes = {}", "'evaluation.max_lanes' = {}: input should be a valid integer"),
]


@pytest.mark.parametrize(("section", "line", "says"), WRONG)
def test_a_wrong_value_is_named_with_its_line(file: Path, section: str, line: str, says: str | None) -> None:
    text, number = insert(section, line)
    message = refused(file, text)
    if says is None:
        assert "is not a TOML file: line 27: Cannot overwrite a value" in message and "'judge'" in message
        return
    assert f"line {number}: " in message and says in message
    assert "sk-1" not in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'name = "x"\n[rules]\nmin_tokens = 1\nmin_tokens = 2\n',
            "line 4: Cannot overwrite a value for the key 'rules.m",
        ),
        ('name = "x"\n[rules]\n[rules]\n', "line 3: Cannot declare ('rules',) twice"),
        ('name = "x"\nseed = \n', "line 2: Invalid value for the key 'seed', in 'seed ='"),
        ('name = "x\n', "line 1: Illegal character '\\n'"),
        ("name = x\n", "line 1: Invalid value for the key 'name', in 'name = x'"),
        ("[rules\nmin_tokens = 1\n", "line 1: Expected ']' at the end of a table declaration"),
        ('name = "x"\nmethods = ["sert"\nseed = 1\n', "line 3: Unclosed array"),
        ('name = """x\n', "at the end of the file"),
        ("name = 'x' seed = 1\n", "line 1: Expected newline or end of document"),
        ("{}", "line 1: Invalid statement"),
        (3 * "\t" + "\x00", "line 1: "),
    ],
)
def test_a_syntax_error_is_named_with_its_line(file: Path, text: str, says: str) -> None:
    message = refused(file, text)
    assert f"{file} is not a TOML file: " in message and says in message


def test_a_text_of_several_lines_does_not_mislead(file: Path) -> None:
    text = 'name = "x"\n[tasks.own]\nkind = "table"\nhub = """\n[rules]\nmin_token = 1\n"""\n[rules]\nmin_token = 2\n'
    assert "line 9: unknown key 'rules.min_token'" in refused(file, text)


def test_tables_in_the_wrong_place_are_named(file: Path) -> None:
    misplaced = refused(file, GOOD + "[mining.rules]\nunit = 1\n")
    assert "unknown key 'mining.rules'; did you mean 'rules' or 'selection.rules'?" in misplaced
    assert "'tasks' = [{'kind': 'table'}]: input should be a valid table" in refused(
        file, 'name = "x"\n[[tasks]]\nkind = "table"\n'
    )
    assert "line 2: 'tasks.own.kind' is missing" in refused(file, 'name = "x"\n[tasks.own]\n')
    assert "line 2: 'tasks.own' = [{'kind': 'table'}]: this is a section" in refused(
        file, 'name = "x"\n[[tasks.own]]\nkind = "table"\n'
    )
    inline = 'name = "x"\ntasks = {own = {kind = "table", datta = "x"}}\n'
    assert "line 2: unknown key 'tasks.own.datta'; did you mean 'data'?" in refused(file, inline)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfen\x00", "line 1 is not UTF-8 text (it seems to be UTF-16); save the file as UTF-8"),
        (b'name = "x"\nseed = 1 # \xe4\n', "line 2 is not UTF-8 text (byte 0xe4)"),
        ((LARGEST_CONFIG + 1) * b"#", "it has 131,073 bytes, and at most 131,072 are read"),
        (b"a = " + 100_000 * b"[", "is nested too deeply"),
        (b"a = " + 20_000 * b"{a=", "is nested too deeply"),
        (b".".join(3_000 * [b"a"]) + b" = 1", "is nested too deeply"),
    ],
)
def test_hostile_files_are_one_error(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(file)
    assert says in str(error.value)


def test_a_byte_order_mark_and_line_ends_of_windows_are_fine(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_config(file).seed == 1


def test_a_stage_names_the_overrides_that_it_cannot_use() -> None:
    tree = {"tasks": {"lab_yes_no": {"kind": "lab_yes_no"}}}
    with pytest.raises(ConfigError, match=r"--set rules\.min_token: unknown key 'rules\.min_token'; did you"):
        stage_config(tree, overrides=["rules.min_token=1"], reads=("rules",))
    with pytest.raises(ConfigError, match=r"--set 'training.lr=1': this command reads only rules\."):
        stage_config(tree, overrides=["training.lr=1"], reads=("rules",))
