"""Help: commands by what people want to do, at most twelve options of each, and every option on wish."""

import re
from collections.abc import Iterator

import click
import pytest

from sert.cli import cli
from sert.cli.help import MOST_OPTIONS, Command


def commands_below(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        path = (*above, name)
        if isinstance(command, click.Group):
            yield from commands_below(command, path)
        else:
            yield path, command


COMMANDS = dict(commands_below(cli))
LONG = {path: command for path, command in COMMANDS.items() if isinstance(command, Command) and command.rest}


def shown(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    cli([*arguments], standalone_mode=False, prog_name="sert", terminal_width=100)
    return capsys.readouterr().out


def options_in(text: str) -> list[str]:
    """List the options of a help text by their first names."""
    return re.findall(r"^  (?:-h, )?(--[\w-]+)", text.partition("\nOptions:")[2], re.MULTILINE)


def test_every_command_stands_under_one_aim(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [name for names in cli.aims.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)
    text = shown("--help", capsys=capsys)
    headings = re.findall(r"^(\S[^:\n]*):$", text, re.MULTILINE)
    assert headings == ["Options", *cli.aims]
    first = [line.split()[0] for line in text.partition("\nBegin:\n")[2].splitlines() if line.startswith("  ")]
    assert first[: len(listed)] == listed


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_at_most_twelve_options(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 < len(options_in(shown(*path, "--help", capsys=capsys))) <= MOST_OPTIONS == 12


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_all_shows_every_option(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    known = [each.opts[0] for each in COMMANDS[path].params if isinstance(each, click.Option) and not each.hidden]
    assert options_in(shown(*path, "--help-all", capsys=capsys)) == [*known, "--help"]


@pytest.mark.parametrize("path", LONG, ids=" ".join)
def test_what_help_leaves_out_is_counted(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    left_out = LONG[path].rest
    text, everything = shown(*path, "--help", capsys=capsys), shown(*path, "--help-all", capsys=capsys)
    assert f"{len(left_out)} more options: sert {' '.join(path)} --help-all" in text
    assert set(options_in(everything)) - set(options_in(text)) == left_out
    assert "more options" not in everything


def test_what_must_be_given_is_never_left_out() -> None:
    for command in LONG.values():
        needed = {name for each in command.params if each.required for name in each.opts}
        assert needed.isdisjoint(command.rest) and "--set" not in command.rest


def test_groups_without_aims_list_their_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"^Commands:\n  inspect ", shown("export", "--help", capsys=capsys), re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["run", "own.toml", "--max-new-tokens", "64"],
            "--set mining.max_new_tokens=... or --set evaluation.max_new_tokens",
        ),
        (["train", "--examples", "x", "--out", "y", "--learning-rate", "1e-4"], "--set training.learning_rate=..."),
    ],
)
def test_an_option_that_is_a_setting_is_told_as_such(arguments: list[str], says: str) -> None:
    with pytest.raises(click.NoSuchOption) as refused:
        cli([*arguments], standalone_mode=False, prog_name="sert")
    assert f"Give it as {says}" in refused.value.format_message()


@pytest.mark.parametrize("arguments", [["run", "own.toml", "--learn"], ["verify", "x", "--max-new-tokens", "64"]])
def test_an_option_that_is_none_is_refused_as_ever(arguments: list[str]) -> None:
    with pytest.raises(click.NoSuchOption) as refused:
        cli([*arguments], standalone_mode=False, prog_name="sert")
    assert "Give it as" not in refused.value.format_message()
