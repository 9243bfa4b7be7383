"""From the folders of stages to the numbers of a report."""
