"""What the report shows, in its order: sections of tables and figures."""

from sert.report.parts import ReportSection
from sert.report.rows import Metrics, pairs_of
from sert.report.sections.ablations import ablations_section
from sert.report.sections.gains import gain_section
from sert.report.sections.outputs import curves_section, judged_section, outputs_section
from sert.report.sections.paper import paper_section
from sert.report.sections.paths import path_sections
from sert.report.sections.results import (
    comparisons_section,
    epochs_section,
    forgetting_section,
    likelihood_section,
    results_section,
    seeds_section,
)
from sert.report.sections.standings import standings_section


def all_sections(metrics: Metrics) -> list[ReportSection]:
    """Lay out every section, those without content too."""
    pairs = pairs_of(metrics)
    return [
        results_section(metrics, pairs),
        standings_section(metrics, pairs),
        likelihood_section(metrics, pairs),
        gain_section(metrics, pairs),
        forgetting_section(metrics, pairs),
        comparisons_section(metrics, pairs),
        epochs_section(metrics, pairs),
        paper_section(metrics),
        ablations_section(metrics, pairs),
        *path_sections(metrics, pairs),
        outputs_section(metrics, pairs),
        curves_section(metrics, pairs),
        judged_section(metrics),
        seeds_section(metrics, pairs),
    ]
