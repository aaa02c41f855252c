"""Make a Deep Lake dataset from files: ``python tools/convert.py coco|voc …``, as ``deeplake-mmdet convert`` does."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['convert', *sys.argv[1:]]))
