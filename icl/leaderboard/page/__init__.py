"""The page over runs: one file that opens from disk, or the same served while a run grows."""
