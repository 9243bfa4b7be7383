"""The figures of the report: how they look, those with a row a thing compared, those with a line a method."""
