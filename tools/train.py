"""Train a detector: ``python tools/train.py CONFIG``, also under torchrun."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
