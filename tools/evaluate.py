"""Evaluate predictions without the model: ``python tools/evaluate.py CONFIG PREDICTIONS.pkl``."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['evaluate', *sys.argv[1:]]))
