"""A file is one way to make instruction rows."""
