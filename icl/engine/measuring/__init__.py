"""What a model takes on this machine: memory, pace, and the least time that a workload needs."""
