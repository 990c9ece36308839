"""Instruction data: generators, filters, the card; what runs them is `icl.experiments.corpus`."""
