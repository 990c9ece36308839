"""Studies of the mechanism of in-context learning, one file each, with controls that could have failed."""
