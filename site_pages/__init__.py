"""The pages of the site that are made from the code, and the check of its links. `python -m site_pages --help`."""
