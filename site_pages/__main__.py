"""Make the pages that are made from the code, or look for dead links in a built site."""

import sys
from pathlib import Path

import click

from site_pages.commands import command_pages
from site_pages.links import dead_links
from site_pages.settings import setting_pages

DOCS = Path(__file__).parent.parent / "docs"


def generated_pages() -> dict[Path, str]:
    """Make all pages: file -> text."""
    made = {"commands": command_pages(), "settings": setting_pages()}
    return {DOCS / folder / name: text for folder, pages in made.items() for name, text in pages.items()}


@click.command()
@click.option("--links", "site", type=click.Path(path_type=Path), help="Look for dead links in this built site.")
def main(site: Path | None) -> None:
    """Write docs/commands and docs/settings anew.

    \b
    python -m site_pages
    python -m site_pages --links build/site
    """
    if site is not None:
        dead = [*dead_links(site)]
        click.echo("\n".join([*dead, f"{len(dead)} dead links in {site}"]))
        sys.exit(bool(dead))
    pages = generated_pages()
    for file in (each for folder in ("commands", "settings") for each in (DOCS / folder).glob("*.md")):
        if file not in pages:
            file.unlink()
    for file, text in pages.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    click.echo(f"{len(pages)} pages written to {DOCS}")


if __name__ == "__main__":
    main()
