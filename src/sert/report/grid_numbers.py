"""The numbers behind the figures of a grid, as tables."""

from collections.abc import Sequence

from sert.report import cells
from sert.report.grid_rows import Metrics, Pair, Row, of_pair
from sert.report.table import Column, Table, build_table, if_measured

AFTER = {
    "mined": "mined",
    "pattern": "+ patterns",
    "imitation": "+ imitation",
    "option_repetition": "+ option lists",
    "direct_response": "+ direct answers",
    "length": "+ length",
    "repetition": "+ repetition",
    "perplexity": "+ perplexity",
    "selected": "selected",
}
PATH_MEASURES = {
    "true_share": "share that is true",
    "questions_true": "at least one is true",
    "questions_kept": "at least one is kept",
}
SCORERS = {"verifier": "the verifier", "judge": "the judge"}


def band_name(band: str) -> str:
    """Write a band of scores with a dash."""
    return band.replace("-", "–")  # noqa: RUF001


def after_name(rule: str) -> str:
    """Name a step of the filter as what it adds to those before it."""
    return AFTER.get(rule, f"+ {rule}")


def bin_name(low: float, high: float | None) -> str:
    """Write a bin's ends; one without an upper end is open."""
    return f"{low:g} or more" if high is None else f"{low:g} to {high:g}"


def criterion_name(criterion: str | None) -> str:
    """Name a judge's criterion; a verifier has none."""
    return "" if criterion is None else criterion.replace("_", " ")


_SHARE = Column("Share %", lambda row: cells.percent(row["share"]))
_SCORER = Column("Scored by", lambda row: scored_by(row))
_BINNED = (
    Column("Method", lambda row: cells.method_name(row["method"])),
    Column("From, to", lambda row: bin_name(row["low"], row["high"])),
    Column("Outputs", lambda row: cells.count(row["n"])),
    Column("Acc %", lambda row: cells.percent(row["accuracy"])),
    Column("95 % interval", lambda row: cells.percent_interval(row["ci95"])),
)
_TESTED = (
    Column("95 % interval", lambda row: cells.points_interval(row["ci95"])),
    Column("p, Holm", lambda row: cells.p_value(row["p_holm"])),
)
_SEEDS = Column("Seeds", lambda row: cells.count(row["seeds"]))
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "bands": (
        Column("Paths of", lambda row: str(row["source"])),
        Column("Band", lambda row: band_name(row["band"])),
        Column("Questions with a path in it %", lambda row: cells.percent(row["share"])),
        Column("Questions", lambda row: cells.count(row["questions"])),
        Column("Paths each", lambda row: cells.count(row["samples"])),
        _SCORER,
    ),
    "filtering": (
        Column("After", lambda row: after_name(row["after"])),
        Column("Band", lambda row: band_name(row["band"])),
        _SHARE,
        Column("Paths", lambda row: cells.count(row["paths"])),
        Column("Mean score", lambda row: cells.decimal(row["mean_score"])),
        _SCORER,
    ),
    "first_tokens": (
        Column("Branch", lambda row: f"branch {row['branch']}"),
        Column("Mean probability of its first token %", lambda row: cells.percent(row["mean_probability"])),
        Column("Paths", lambda row: cells.count(row["paths"])),
        Column("Kept %", lambda row: cells.percent(row["kept_share"])),
    ),
    "first_token_bins": (
        Column("Probability of the first token", lambda row: bin_name(row["low"], row["high"])),
        Column("Paths", lambda row: cells.count(row["paths"])),
        Column("Kept %", lambda row: cells.percent(row["kept_share"])),
    ),
    "by_length": _BINNED,
    "by_repetition": _BINNED,
    "steps": (
        Column("Method", lambda row: cells.method_name(row["method"])),
        Column("Step", lambda row: cells.count(row["step"])),
        Column("Split", lambda row: str(row["split"])),
        Column("Acc %", lambda row: cells.spread(row)),
        _SEEDS,
    ),
    "amounts": (
        Column("Method", lambda row: cells.method_name(row["method"])),
        Column("Rationales", lambda row: cells.count(row["rationales"])),
        Column("Acc %", lambda row: cells.spread(row["accuracy"])),
        Column("95 % interval", lambda row: cells.percent_interval((row["accuracy"] or {}).get("ci95"))),
    ),
    "amount_comparisons": (
        Column("Rationales", lambda row: cells.count(row["rationales"])),
        Column("SERT+RD against RD, points", lambda row: cells.points(row["difference"])),
        *_TESTED,
        _SEEDS,
    ),
    "paths": (
        Column("Paths", lambda row: f"{row['a']} against {row['b']}"),
        Column("Of each question", lambda row: PATH_MEASURES.get(row["measure"], str(row["measure"]))),
        Column("Difference, points", lambda row: cells.points(row["difference"])),
        *_TESTED,
        Column("Questions", lambda row: cells.count(row["n"])),
        _SEEDS,
    ),
    "budget": (
        Column("Budget", lambda row: str(row["variant"])),
        Column("Branches", lambda row: cells.count(row["branches"])),
        Column("Samples each", lambda row: cells.count(row["samples"])),
        Column("Paths", lambda row: cells.count(row["paths"])),
        Column("Reason %", lambda row: cells.percent(row["reasoned_share"])),
        Column("Kept %", lambda row: cells.percent(row["kept_share"])),
        Column("Questions with a kept one %", lambda row: cells.percent(row["questions_kept_share"])),
    ),
}
_TRUE: dict[str, tuple[Column, ...]] = {
    "first_tokens": (Column("True %", lambda row: cells.percent(row["true_share"])),),
    "budget": (
        Column("True %", lambda row: cells.percent(row["true_share"])),
        Column("Questions with a true one %", lambda row: cells.percent(row["questions_true_share"])),
    ),
}


def scored_by(row: Row) -> str:
    """Say who gave a score, and by which criterion."""
    name = SCORERS.get(row["scorer"], str(row["scorer"]))
    criterion = criterion_name(row.get("criterion"))
    return f"{name}, {criterion}" if criterion else name


def number_table(metrics: Metrics, pair: Pair, *, section: str) -> Table:
    """Lay out the rows of a section that a figure is drawn from."""
    rows: Sequence[Row] = of_pair(metrics, section, pair)
    true = if_measured(rows, *_TRUE[section], key="true_share") if section in _TRUE else ()
    return build_table(rows, (*_COLUMNS[section], *true))
