"""The experiment file: keys, types, ranges, and the rows that others are compared with."""
