"""Recipes of instruction data as runs: checked, rehearsed, resumed."""
