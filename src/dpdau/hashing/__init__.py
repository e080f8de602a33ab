"""Keyed hashes of user ids: pseudonyms, and who is in a sample."""

from dpdau.hashing.pseudonyms import Pseudonymizer, Sampler

__all__ = ["Pseudonymizer", "Sampler"]
