"""The sections of the report: which tables and figures each shows."""
