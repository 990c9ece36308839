"""Where the requests of a grid run: cut into tasks that share little, handed to workers."""
