"""The path explorer: one page with all paths in it, that opens without a server. `docs/explorer.md` has its format."""
