"""Results in the forms that other software reads: TRL, lm-evaluation-harness, inspect_ai, and plain tables."""
