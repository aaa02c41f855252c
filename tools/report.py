"""Make the report of the newest run again: ``python tools/report.py WORK_DIR``."""

import sys

from deeplake_mmdet.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['report', *sys.argv[1:]]))
