"""A decoder on packed weights: what it is made of, how each family is read, and the loop over its layers."""

from icl.engine.trunks.fused.families import FAMILIES
from icl.engine.trunks.fused.trunk import NAME, FusedTrunk, against, supports

__all__ = ["FAMILIES", "NAME", "FusedTrunk", "against", "supports"]
