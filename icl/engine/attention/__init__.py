"""Exact attention of a chunk: the plain way (the oracle), blocks on CPU, FlexAttention on a GPU."""
