"""Make a Deep Lake dataset from files: ``python tools/convert.py coco|voc|yolo|v3 …`` is ``deeplake-mmdet convert``."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['convert', *sys.argv[1:]]))
