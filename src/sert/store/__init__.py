"""How work is kept: Parquet tables, folders that are complete or invisible, one writer a run."""
