"""The report: a pure function of a run's numbers and examples."""
