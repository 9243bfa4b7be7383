"""The settings: one typed tree, how it is read, and grids over students, seeds and variants."""
