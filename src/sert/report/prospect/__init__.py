"""The page of a prospect, made of its numbers and a few paths alone."""
