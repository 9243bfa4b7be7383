"""A page for each command, from its help."""

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from sert.cli import cli
from sert.cli.help import Command

_HELP = "-h, --help"
"""How help is asked for; click keeps the option as whoever asked first had it."""
NOTE = "<!-- Made from the code by `python -m site_pages`; change the command and make it again. -->"


def command_pages() -> dict[str, str]:
    """Make the pages of all commands: file name below `docs/commands` -> text."""
    pages = {f"{'-'.join(path)}.md": _page(path, command) for path, command in commands_below(cli)}
    return {"index.md": _index(), **pages}


def commands_below(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Walk the commands of a group and of the groups in it, in the order of the help."""
    listed = [name for names in getattr(group, "aims", {}).values() for name in names]
    for name in listed or sorted(group.commands):
        command = group.commands[name]
        path = (*above, name)
        yield path, command
        if isinstance(command, click.Group):
            yield from commands_below(command, path)


def _index() -> str:
    lines = ["# Commands", "", NOTE, ""]
    lines += [
        "`sert --help` lists them; `--help` behind a command says how it is used, and `--help-all` shows all of its"
    ]
    lines += ["options.", ""]
    for aim, names in cli.aims.items():
        lines += [f"## {aim}", ""]
        for name in names:
            lines.append(f"- [`sert {name}`]({name}.md): {_first_sentence(cli.commands[name])}")
        lines.append("")
    return "\n".join(lines)


def _first_sentence(command: click.Command) -> str:
    text = linked(command.get_short_help_str(limit=1000))
    return text if text.endswith(("?", ".")) else f"{text}."


def _page(path: tuple[str, ...], command: click.Command) -> str:
    name = " ".join(("sert", *path))
    context = click.Context(command, info_name=name, terminal_width=1000, help_option_names=["-h", "--help"])
    lines = [f"# {name}", "", NOTE, ""]
    for paragraph in re.split(r"\n\s*\n", cleandoc(command.help or "")):
        if paragraph.startswith("\b\n"):
            lines += ["```", *paragraph.removeprefix("\b\n").splitlines(), "```", ""]
        else:
            lines += [linked(" ".join(paragraph.split())), ""]
    lines += ["## Usage", "", "```", command.get_usage(context).removeprefix("Usage: "), "```", ""]
    if isinstance(command, click.Group):
        lines += ["## Commands", ""]
        for each in sorted(command.commands):
            text = _first_sentence(command.commands[each])
            lines.append(f"- [`{name} {each}`]({'-'.join((*path, each))}.md): {text}")
        return "\n".join([*lines, ""])
    lines += ["## Options", "", *_options(command, context)]
    return "\n".join([*lines, ""])


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    rest = command.rest if isinstance(command, Command) else frozenset()
    usual, further = [], []
    for option in (each for each in command.get_params(context) if isinstance(each, click.Option)):
        record = option.get_help_record(context)
        if record is not None and "--help" in option.opts:
            record = _HELP, record[1]
        if record is not None:
            (usual if rest.isdisjoint(option.opts) else further).append(_option(record))
    yield from usual
    yield from ["", "By `--help-all`, too:", "", *further] if further else []


def _option(record: tuple[str, str]) -> str:
    """Write an option as an item of a list; what stands in brackets at the end of its help is set apart."""
    names, text = record
    found = re.search(r"(?:\s*\[[^\[\]]*\])*$", text)
    assert found is not None
    said, marks = " ".join(text[: found.start()].split()), re.findall(r"\[([^\[\]]*)\]", found[0])
    parts = [f"- **`{names}`**", linked(said), f"*{linked('; '.join(marks))}*" if marks else ""]
    return " ".join(part for part in parts if part)


def linked(text: str) -> str:
    """Write a text of the code as Markdown: its pages of docs become links, as they stand from a folder below docs."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [part.replace("<", "&lt;").replace("*", r"\*") for part in parts[::2]]
    return re.sub(r"`docs/(\w+)\.md`", _link, "".join(parts))


def _link(found: re.Match[str]) -> str:
    return f"[{found[1].replace('_', ' ')}](../{found[1]}.md)"
