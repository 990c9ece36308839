"""Where the numbers of a run go beside its folder, one file each, each with a library that is an extra."""
