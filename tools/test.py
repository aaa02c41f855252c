"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``, also under torchrun."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
