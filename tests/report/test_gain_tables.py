"""What the report shows of gains, cell by cell."""

from grid_data import make_grid

from sert.report.rows import Pair
from sert.report.sections.gains import gain_section, gain_table

PAIR = Pair("gpt2", "strategyqa")


def test_paths_outputs_and_rationales_stand_beside_each_other() -> None:
    table = gain_table(make_grid(), PAIR)
    shared = ("0.0800", "43.0", "41.0 to 45.0", "40.0", "0.0080", "45.0 (405/900)")
    minus = "\N{MINUS SIGN}"
    assert table.rows == [
        ("Mined paths", "1,800", "90", f"{minus}0.031", f"{minus}0.081 to +0.019", *shared),
        ("Mined paths, selected", "1,800", "90", "+0.214", "+0.164 to +0.264", *shared),
        ("Outputs of SERT", "1,800", "90", "+0.400", "+0.350 to +0.450", *shared),
        ("Rationales", "1,800", "90", "+1.000", "+0.950 to +1.050", *shared),
    ]
    on_terminal = gain_table(make_grid(), PAIR, terminal=True)
    assert on_terminal.header == (
        *("Texts", "Number", "Gain, nats", "95 % interval", "p, Holm"),
        *("Gold most probable behind %", "and without %"),
    )


def test_each_look_is_compared_with_the_other_paths() -> None:
    (folded,) = gain_section(make_grid(), [PAIR]).folded
    names = [row[0] for row in folded.table.rows]
    assert names == ["selected", "kept by length alone", "branch 2", "perplexity 9.50 to without end (quarter 4)"]
    assert folded.table.rows[0] == (
        *("selected", "1,800", "+0.350", "+0.300 to +0.400", "+0.100", "+0.250 (+0.150 to +0.350)", "0.0400", "43.0"),
        *("45.0 (405/900)", "45.0", "–", "–"),  # noqa: RUF001 - nothing to compare
    )


def test_the_section_says_that_it_looks_at_the_gold_answer() -> None:
    (note,) = gain_section(make_grid(), [PAIR]).notes
    assert "It looks at the gold answer" in note
