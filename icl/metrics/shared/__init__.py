"""What several metrics build on; the files beside this folder are one metric each."""
