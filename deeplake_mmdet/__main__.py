"""``python -m deeplake_mmdet VERB``: the command ``deeplake-mmdet``."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
