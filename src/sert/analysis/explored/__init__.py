"""From the folders of a run to what its explorer shows: all paths, what the rules said, and what students answered."""
