"""How help is shown: commands by what people want to do, and of long commands the options that most people need."""

from typing import Any

import click

MOST_OPTIONS = 12
"""Options that `--help` shows of a command, itself included."""

_ALL = "sert.help_all"


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class Command(click.Command):
    """A command whose `--help` leaves out what few people need, and whose `--help-all` shows every option."""

    def __init__(self, *args: Any, rest: str = "", **kwargs: Any) -> None:
        """Take what click's command takes; `rest` names the options that `--help` leaves out, `--hub --dtype`."""
        super().__init__(*args, **kwargs)
        self.rest = frozenset(rest.split())
        show_all: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False, "callback": _show_all}
        self.params.append(click.Option(["--help-all"], help="Show every option.", hidden=True, **show_all))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; of one that is none, say by which setting it is meant, if there is one of its name."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if settings := self._meant(error.option_name):
                listed = " or ".join(f"--set {path}=..." for path in settings)
                told = f"{error.format_message()} Give it as {listed}."
                raise click.NoSuchOption(error.option_name, told, ctx=ctx) from None
            raise

    def _meant(self, option: str) -> list[str]:
        """List the settings of a name that the command takes by `--set`."""
        if not any("--set" in each.opts for each in self.params):
            return []
        from sert.config.section import settings_of
        from sert.config.tree import Config

        name = option.lstrip("-").replace("-", "_")
        return [each.path for each in settings_of(Config) if each.path.rpartition(".")[2] == name]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that are asked for, and how to see the others."""
        if not self.rest or ctx.meta.get(_ALL):
            return super().format_options(ctx, formatter)
        options = (each for each in self.get_params(ctx) if isinstance(each, click.Option))
        shown = [each.get_help_record(ctx) for each in options if self.rest.isdisjoint(each.opts)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in shown if record is not None])
        formatter.write_paragraph()
        formatter.write_text(f"{len(self.rest)} more options: {ctx.command_path} --help-all")


class Group(click.Group):
    """A group of commands, listed by what people want to do."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what click's group takes."""
        super().__init__(*args, **kwargs)
        self.aims: dict[str, list[str]] = {}

    def add(self, aim: str, *commands: click.Command) -> None:
        """Add the commands for one aim, in the order in which they are listed."""
        for command in commands:
            self.add_command(command)
        self.aims[aim] = [str(command.name) for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by aim, where aims were given."""
        if not self.aims:
            return super().format_commands(ctx, formatter)
        width = max(map(len, self.commands))
        for aim, names in self.aims.items():
            helps = [self.commands[name].get_short_help_str(formatter.width - width - 6) for name in names]
            with formatter.section(aim):
                formatter.write_dl([(name.ljust(width), text) for name, text in zip(names, helps, strict=True)])
