"""What Python writes is what the page's script reads: columns, texts, tokens, trained examples."""

import shutil

import numpy as np
import pytest

from browser import Browser, Canary
from explored_data import make_mined, make_paths, make_questions, spelled
from sert.analysis.explored.collect import explored
from sert.analysis.explored.pieces import Pieces
from sert.analysis.explored.sources import ExploredArm, ExploredRun, FilteredPaths, MinedPaths
from sert.config.tree import RulesConfig, SelectionConfig
from sert.paths.filtering import filter_paths
from sert.paths.rules import perplexity, rep_n, words_of
from sert.records import Example, Path, Verdict
from sert.runs.explore import write_page
from sert.store.tables import StoredTable, read_table
from sert.student.texts import Texts
from sert.terminal.progress import Silent
from tests_support import make_tokenizer

QUESTIONS = 34  # two blocks
ALL = f"""(async () => {{
  await sertExplorer.data.header();
  const numbers = [...Array({QUESTIONS}).keys()];
  const texts = await Promise.all(numbers.map((number) => sertExplorer.data.texts(0, number)));
  const tokens = await Promise.all(numbers.map((number) => sertExplorer.data.tokens(0, number)));
  const plain = new Map(tokens.flatMap((of) => [...of]));
  return {{
    texts: texts.flatMap((question) => question.texts),
    examples: texts.map((question) => question.examples),
    lengths: [...plain].map(([row, {{ lengths }}]) => [row, [...lengths]]),
    logprobs: [...plain].map(([row, {{ logprobs }}]) => [row, [...logprobs].map(sertExplorer.decode.logprobOf)]),
  }};
}})()"""
COLUMN = "sertExplorer.data.columns(0).then(columns => [...columns.{}].map(String))"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    if (program := shutil.which("chromium")) is None:
        pytest.skip("chromium is not installed (apt-get install -y chromium)")
    folder = tmp_path_factory.mktemp("round-trip")
    questions = make_questions(QUESTIONS)
    drawn = spelled(make_paths(questions, branches=1, samples=3, seed=4), make_tokenizer())
    mined = make_mined(folder / "mined", questions, drawn)
    paths = read_table(mined.file("paths.parquet"), Path)
    rules, selection = RulesConfig(min_perplexity=0.0, min_tokens=1), SelectionConfig()
    found = filter_paths(mined, rules=rules, selection=selection, out=folder / "filtered")
    verdicts = StoredTable(found.file("verdicts.parquet"), Verdict)
    source = MinedPaths(mined, "mined", "demo", questions, None)
    arm = ExploredArm(
        "demo", 0, "main", None, "demo", [FilteredPaths("f", source, rules, selection, verdicts, {}, found)], {}
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sert.analysis.explored.collect.find_pieces", lambda student: Pieces(Texts(make_tokenizer())))
        run = ExploredRun("demo", "demo", [arm])
        write_page(folder / "page.html", explored([run], logprobs="all", reporter=Silent()))
    profile = tmp_path_factory.mktemp("browser")
    with Canary() as canary, Browser(program, profile=profile, canary=canary) as browser:
        browser.visit((folder / "page.html").as_uri())
        yield browser, paths, read_table(found.file("examples.parquet"), Example)


def test_texts_tokens_and_examples_come_back(opened):
    browser, paths, examples = opened
    read = browser.evaluate(ALL)
    assert read["texts"] == [path.text for path in paths]
    expected = {each.question_id: {"0": [each.completion, each.conclusion]} for each in examples}
    assert read["examples"] == [expected.get(f"q{number}", {}) for number in range(QUESTIONS)]
    pieces = Pieces(Texts(make_tokenizer()))
    rows = [(row, path) for row, path in enumerate(paths) if path.token_ids]
    assert read["lengths"] == [[row, pieces.lengths(path.token_ids, path.text)] for row, path in rows]
    assert any("\U0001f987" in path.text for path in paths)
    for (row, path), (read_row, logprobs) in zip(rows, read["logprobs"], strict=True):
        assert row == read_row
        np.testing.assert_allclose(logprobs, path.logprobs, atol=0.35)  # of at most 15 nats


MEASURED = {
    "perplexity": lambda path: path.perplexity,
    "perplexity_continuation": lambda path: perplexity(path.logprobs[1:]),
    "rep_2": lambda path: path.rep_2,
    "rep_2_words": lambda path: rep_n(words_of(path.text), 2),
}


@pytest.mark.parametrize("name", MEASURED)
def test_numbers_come_back_to_the_last_bit(opened, name):
    browser, paths, _ = opened
    read = [float(each.replace("Infinity", "inf")) for each in browser.evaluate(COLUMN.format(name))]
    assert read == [MEASURED[name](path) for path in paths]
    assert len(set(read)) > 10
