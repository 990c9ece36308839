"""What several judges build on; the files beside this folder are one judge each."""
