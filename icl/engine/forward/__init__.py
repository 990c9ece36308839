"""Chunks of a trie through a trunk: scores, and the keys and values that are kept of finished texts."""
