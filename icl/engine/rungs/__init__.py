"""The language models of the ladder, fastest first, and the probe that decides which one is exact."""
