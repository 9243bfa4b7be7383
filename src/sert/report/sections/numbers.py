"""Tables that show the rows of one section of `metrics.json` as they are: the numbers behind figures, and others."""

from collections.abc import Mapping, Sequence

from sert.report.columns import PLAIN_SHARES, SEEDS
from sert.report.comparing import BOTH_ANSWERED, DIFFERENCE, INTERVAL, P_HOLM, P_VALUE, SIGNIFICANT
from sert.report.format import count, decimal, interval_of, percent, percent_interval, points, spread, with_sign
from sert.report.names import (
    PATH_MEASURES,
    Row,
    after_name,
    band_name,
    bin_name,
    comparison_name,
    method_name,
    rule_name,
    scored_by,
)
from sert.report.parts import TitledTable, filled
from sert.report.rows import Metrics, Pair, of_pair, section
from sert.report.table import Column, Table, build_table

_UNITS = {"mean_length": ("Len, tokens", 1), "repetition": ("Rep", 3)}


def _unit_of(row: Row) -> tuple[str, int]:
    """Name what a mean is of, and say with how many digits it is written."""
    name = str(row["measure"])
    return _UNITS.get(name, (name.replace("_", " ").capitalize(), 2))


_NEAR_DUPLICATES = (
    Column("Task", lambda row: str(row["task"])),
    Column("Question", lambda row: str(row["question_id"])),
    Column("Nearly the same as", lambda row: str(row["other_id"])),
    Column("Of split", lambda row: str(row["split"])),
    Column("Similarity", lambda row: decimal(row["similarity"])),
)
_SCORER = Column("Scored by", scored_by)
_SEED_COUNT = Column("Seeds", lambda row: count(row["seeds"]))
_BINNED = (
    Column("Method", lambda row: method_name(row["method"])),
    Column("From, to", lambda row: bin_name(row["low"], row["high"])),
    Column("Outputs", lambda row: count(row["n"])),
    Column("Acc %", lambda row: percent(row["accuracy"])),
    Column("95 % interval", lambda row: percent_interval(row["ci95"])),
    *PLAIN_SHARES,
)
_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "latent": (
        Column("Decoding", lambda row: str(row["decoding"])),
        Column("Questions", lambda row: count(row["questions"])),
        Column("Outputs each", lambda row: count(row["samples"])),
        Column("Outputs that reason %", lambda row: percent(row["reasoned_share"])),
        Column("Questions with one that reasons", lambda row: count(row["questions_reasoned"])),
        Column("of questions %", lambda row: percent(row["questions_reasoned_share"])),
        Column("True outputs %", lambda row: percent(row["true_share"]), "true_share"),
        Column("Questions with a true one %", lambda row: percent(row["questions_true_share"]), "true_share"),
    ),
    "bands": (
        Column("Paths of", lambda row: str(row["source"])),
        Column("Band", lambda row: band_name(row["band"])),
        Column("Questions with a path in it %", lambda row: percent(row["share"])),
        Column("Questions", lambda row: count(row["questions"])),
        Column("Paths each", lambda row: count(row["samples"])),
        _SCORER,
    ),
    "funnel": (
        Column("Rule", lambda row: rule_name(row["rule"])),
        Column("Dropped", lambda row: count(row["dropped"])),
        Column("Remaining", lambda row: count(row["remaining"])),
        Column("Of mined %", lambda row: percent(row["share"])),
        Column("True among them %", lambda row: percent(row["true_share"]), "true_share"),
    ),
    "limits": (
        Column("Variant", lambda row: str(row["variant"])),
        Column("Seed", lambda row: count(row["seed"])),
        Column("Limit", lambda row: f"rules.{row['setting']}"),
        Column("Percentile of the mined paths", lambda row: f"p{row['percentage']:g}"),
        Column("Perplexity", lambda row: decimal(row["value"])),
    ),
    "filtering": (
        Column("After", lambda row: after_name(row["after"])),
        Column("Band", lambda row: band_name(row["band"])),
        Column("Share %", lambda row: percent(row["share"])),
        Column("Paths", lambda row: count(row["paths"])),
        Column("Mean score", lambda row: decimal(row["mean_score"])),
        _SCORER,
    ),
    "selection": (
        Column("Variant", lambda row: str(row["variant"])),
        Column("Train questions", lambda row: count(row["questions"])),
        Column("With a selected path", lambda row: count(row["with_selected"])),
        Column("Its own conclusion is gold", lambda row: count(row["selected_agree"])),
        Column("is another", lambda row: count(row["selected_wrong"])),
        Column("is unread", lambda row: count(row["selected_unread"])),
        Column("is cut", lambda row: count(row["selected_cut"])),
        Column("True among selected %", lambda row: percent(row["selected_true_share"]), "selected_true_share"),
        Column("True among mined %", lambda row: percent(row["mined_true_share"]), "mined_true_share"),
    ),
    "first_tokens": (
        Column("Branch", lambda row: f"branch {row['branch']}"),
        Column("Mean probability of its first token %", lambda row: percent(row["mean_probability"])),
        Column("Paths", lambda row: count(row["paths"])),
        Column("Kept %", lambda row: percent(row["kept_share"])),
        Column("True %", lambda row: percent(row["true_share"]), "true_share"),
    ),
    "first_token_bins": (
        Column("Probability of the first token", lambda row: bin_name(row["low"], row["high"])),
        Column("Paths", lambda row: count(row["paths"])),
        Column("Kept %", lambda row: percent(row["kept_share"])),
    ),
    "by_length": _BINNED,
    "by_repetition": _BINNED,
    "steps": (
        Column("Method", lambda row: method_name(row["method"])),
        Column("Step", lambda row: count(row["step"])),
        Column("Split", lambda row: str(row["split"])),
        Column("Acc %", lambda row: spread(row)),
        *PLAIN_SHARES,
        _SEED_COUNT,
    ),
    "amounts": (
        Column("Method", lambda row: method_name(row["method"])),
        Column("Rationales", lambda row: count(row["rationales"])),
        Column("Acc %", lambda row: spread(row["accuracy"])),
        Column("95 % interval", lambda row: percent_interval((row["accuracy"] or {}).get("ci95"))),
        *PLAIN_SHARES,
    ),
    "amount_comparisons": (
        Column("Rationales", lambda row: count(row["rationales"])),
        Column("SERT+RD against RD, points", lambda row: points(row["difference"])),
        INTERVAL,
        P_HOLM,
        *BOTH_ANSWERED,
        _SEED_COUNT,
    ),
    "paths": (
        Column("Paths", lambda row: f"{row['a']} against {row['b']}"),
        Column("Of each question", lambda row: PATH_MEASURES.get(row["measure"], str(row["measure"]))),
        DIFFERENCE,
        INTERVAL,
        P_HOLM,
        Column("Questions", lambda row: count(row["n"])),
        _SEED_COUNT,
    ),
    "budget": (
        Column("Budget", lambda row: str(row["variant"])),
        Column("Branches", lambda row: count(row["branches"])),
        Column("Samples each", lambda row: count(row["samples"])),
        Column("Paths", lambda row: count(row["paths"])),
        Column("Reason %", lambda row: percent(row["reasoned_share"])),
        Column("Kept %", lambda row: percent(row["kept_share"])),
        Column("Questions with a kept one %", lambda row: percent(row["questions_kept_share"])),
        Column("True %", lambda row: percent(row["true_share"]), "true_share"),
        Column("Questions with a true one %", lambda row: percent(row["questions_true_share"]), "true_share"),
    ),
    "means": (
        Column("Comparison", comparison_name),
        Column("Of", lambda row: _unit_of(row)[0]),
        Column("Difference", lambda row: with_sign(row["difference"], _unit_of(row)[1])),
        Column("95 % interval", lambda row: interval_of(row["ci95"], lambda end: with_sign(end, _unit_of(row)[1]))),
        P_VALUE,
        P_HOLM,
        SIGNIFICANT,
        Column("Questions", lambda row: count(row["n"])),
    ),
    "rows": SEEDS,
}


def number_table(metrics: Metrics, pair: Pair, section: str, **only: str) -> Table:
    """Lay out the rows of a section of a student on a task, only those that have some values."""
    rows = [row for row in of_pair(metrics, section, pair) if all(row[key] == only[key] for key in only)]
    return build_table(rows, _COLUMNS[section])


def numbers_behind(metrics: Metrics, pairs: Sequence[Pair], **sections: str) -> list[TitledTable]:
    """Lay out the numbers behind figures: section -> what is added to the title."""
    return filled(
        TitledTable(f"{pair.title}{added}", number_table(metrics, pair, name))
        for pair in pairs
        for name, added in sections.items()
    )


def near_duplicate_table(metrics: Metrics) -> Table:
    """Lay out the train questions that were left out as nearly the same as another."""
    return build_table(section(metrics, "near_duplicates"), _NEAR_DUPLICATES)
