"""The cells of the grid, what they share, and all that can be wrong with them before a model loads."""
