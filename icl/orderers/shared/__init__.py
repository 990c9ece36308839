"""What several orderers build on; the files beside this folder are one published method each."""
