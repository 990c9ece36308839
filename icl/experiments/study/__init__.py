"""Studies of the mechanism as runs: checked, planned, resumed."""
