"""The branching engine."""
