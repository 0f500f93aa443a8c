"""Saves the adapter that both sides start from: make_adapter.py MODEL RANK SEED FOLDER."""

import sys

from training import fresh_adapter

model, rank, seed, folder = sys.argv[1:]
fresh_adapter(model, int(rank), int(seed), folder)
