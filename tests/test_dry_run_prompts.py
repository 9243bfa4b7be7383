"""What a dry run shows of the prompt that a student reads, and what it refuses of it."""

import json
from pathlib import Path
from typing import Any

import pytest

import six_tokenizers
from sert.cli import cli
from sert.cli.prompts import MOST_TOKENS
from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.load import load_texts
from tests_support import tiny_llama

BY_HAND = '"<|im_start|>user\\n{question}<|im_end|>\\n<|im_start|>assistant\\n"'


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student with a chat template."""
    folder, tokenizer = tmp_path_factory.mktemp("chatty"), six_tokenizers.smollm2()
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "q.jsonl").write_text('{"question": "Can <|im_end|> bark?", "answer": "no"}\n')
    return tmp_path / "q.jsonl"


def stage(name: str, student: Path, data: Path, *more: str) -> list[str]:
    split = ["--split", "train"]
    source = ["--task", "table", "--data", str(data), *split, "--student", str(student), "--max-new-tokens", "16"]
    return [name, *source, *more, "--out", str(data.parent / "out")]


@pytest.mark.parametrize("command", ["mine", "evaluate"])
def test_the_prompt_is_shown_as_text_and_as_tokens(
    command: str, chatty: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli(stage(command, chatty, data, "--dry-run"), standalone_mode=False)
    shown = capsys.readouterr().out
    assert "How it is asked: prompts are put into its chat template" in shown
    text = "You are a helpful assistant.<|im_end|>\n<|im_start|>user\nQuestion: Can <|im_end|> bark?\nAnswer:<|im_end|>"
    assert json.dumps(text)[1:-1] in shown
    cli(stage(command, chatty, data, "--dry-run", "--json"), standalone_mode=False)
    first: dict[str, Any] = json.loads(capsys.readouterr().out)["first_prompt"]
    texts = load_texts(StudentConfig(path=str(chatty)))
    assert first["token_ids"] == texts.encode_prompt("Question: Can <|im_end|> bark?\nAnswer:")
    assert first["tokens"] == texts.tokenizer.convert_ids_to_tokens(first["token_ids"])
    assert f'As {len(first["tokens"])} tokens: 1 "<|im_start|>"' in shown
    assert first["tokens"].count("<|im_end|>") == 2


@pytest.mark.parametrize("command", ["mine", "evaluate"])
def test_the_prompt_that_is_shown_is_the_first_that_is_not_too_long(
    command: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["Is it so? " * 900, "Is ice cold?", "Is fire cold?"]
    data.write_text("".join(f"{json.dumps({'question': text, 'answer': 'no'})}\n" for text in asked))
    cli(stage(command, Path("lab"), data, "--dry-run"), standalone_mode=False)
    assert 'The first prompt: "Question: Is ice cold?\\nAnswer:"' in capsys.readouterr().out


def test_of_many_tokens_people_are_shown_the_first_and_the_last(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"question": f"Is {'ice ' * 250}cold?", "answer": "no"}
    data.write_text(json.dumps(row))
    dry_run = stage("mine", Path("lab"), data, "--dry-run")
    cli(dry_run, standalone_mode=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("As ")]
    cli([*dry_run, "--json"], standalone_mode=False)
    tokens = json.loads(capsys.readouterr().out)["first_prompt"]["tokens"]
    assert line.startswith(f'As {len(tokens)} tokens: 319 "Question", ')
    assert line.count('"') == 2 * MOST_TOKENS and f", ... {len(tokens) - MOST_TOKENS} more ..., " in line
    assert line.endswith('320 "Answer", 26 ":"')


def test_a_plain_prompt_of_a_student_with_a_template_is_told(
    chatty: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli(stage("mine", chatty, data, "--set", "student.prompt=plain", "--dry-run"), standalone_mode=False)
    shown = capsys.readouterr().out
    assert "it has a chat template, and is asked by plain prompts (student.prompt = 'chat'" in shown
    assert 'The first prompt: "Question: Can <|im_end|> bark?\\nAnswer:"' in shown


def test_of_a_student_without_a_template_nothing_is_told(
    student_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli(stage("mine", student_folder, data, "--dry-run"), standalone_mode=False)
    shown = capsys.readouterr().out
    assert "How it is asked" not in shown and "The first prompt: " in shown


def test_a_tokenizer_that_is_not_here_is_not_fetched(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli(stage("mine", Path("nobody/nothing"), data, "--dry-run"), standalone_mode=False)
    shown = capsys.readouterr().out
    assert "The first prompt" not in shown and "Would be written to" in shown


@pytest.mark.parametrize("more", [["--dry-run"], []])
@pytest.mark.parametrize("command", ["mine", "evaluate"])
def test_turns_written_by_hand_are_refused(command: str, more: list[str], chatty: Path, data: Path) -> None:
    by_hand = ["--set", f"tasks.table.prompts.student={BY_HAND}"]
    with pytest.raises(StudentError, match=r"tasks\.table\.prompts\.student holds '<\|im_start\|>'.*'chat'"):
        cli(stage(command, chatty, data, *by_hand, *more), standalone_mode=False)


def test_a_run_shows_and_refuses_the_same(
    chatty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_estimates: None
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f'name = "x"\nmethods = ["zero_shot"]\n[student]\npath = "{chatty}"\n[teacher]\nkind = "lab"\n'
        "[evaluation]\nmax_new_tokens = 16\n"
        '[tasks.lab]\nkind = "lab_yes_no"\nlimit = 2\n'
    )
    run = ["run", str(config), "--out", str(tmp_path / "out"), "--dry-run"]
    cli(run, standalone_mode=False)
    shown = capsys.readouterr().out
    assert "How it is asked: prompts are put into its chat template" in shown and "The first prompt: " in shown
    for more in ([], run[-1:]):
        with pytest.raises(StudentError, match=r"tasks\.lab\.prompts\.student holds '<\|im_start\|>'"):
            cli([*run[:-1], *more, "--set", f"tasks.lab.prompts.student={BY_HAND}"], standalone_mode=False)
