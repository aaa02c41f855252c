"""The ``deeplake-mmdet`` command: one verb a module, each imported only when it is called."""

from __future__ import annotations

import importlib
import os
import select
import sys

from deeplake_mmdet.config.printable import printable
from deeplake_mmdet.config.redaction import scrub
from deeplake_mmdet.errors import DeepLakeMMDetError
from deeplake_mmdet.lineage.scrubbed_output import scrubbed_traceback

INTERRUPTED, READER_GONE = 130, 141  # the exit codes of a shell's command that SIGINT or SIGPIPE ended
VERBS = {
    'train': 'train a detector from a config',
    'test': 'evaluate a checkpoint',
    'score': 'loss, errors and suspicion of every image, written back to a branch',
    'evaluate': 'evaluate predictions that were written before, without the model',
    'report': 'make the HTML report of a run again, from the files in its work dir',
    'convert': 'make a Deep Lake dataset from COCO, PASCAL VOC or YOLO files, or from one of format 3',
    'materialize': 'copy a dataset or view, with the images that it links to, into a new dataset',
    'export': 'write a dataset or view as COCO, PASCAL VOC or YOLO files',
    'query': 'run a TQL query, say what it selects, and save it as a view',
    'views': 'list the saved views of a dataset',
    'branches': 'list the branches of a dataset',
    'log': 'list the commits of a branch',
    'diff': 'say which rows and columns differ between two versions',
    'edit': 'drop rows, drop or relabel objects, on a branch, as one commit',
    'show': 'draw rows with their boxes and masks',
    'stats': 'say how classes, box sizes and image sizes are distributed',
    'demo': 'make a small dataset, train on it, evaluate, and draw the result',
    'lineage': 'say what a checkpoint or a run was made of, and whether its data are what they were',
    'reproduce': 'train a checkpoint again: the same data revision, seed and order',
    'compare': 'show runs side by side: data, config differences, metrics',
    'upgrade-config': 'write a config of MMDetection 2 as one of MMDetection 3',
    'doctor': 'say what is wrong with this environment, and the command that mends it',
}


def usage() -> str:
    width = max(map(len, VERBS)) + 2
    verbs = '\n'.join(f'  {name:<{width}}{text}' for name, text in VERBS.items())
    return (
        f'usage: deeplake-mmdet VERB [options]\n\n{verbs}\n\n`deeplake-mmdet VERB --help` lists the options of a verb.'
    )


def message_of(error: Exception) -> str:
    """What an error says; of one in a worker process PyTorch hands on the traceback, which ends with it."""
    text, name = str(error), f'.{type(error).__name__}: '
    return text.rpartition(name)[2].strip() if 'Original Traceback' in text and name in text else text


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the process's exit code. An error of ours, and Ctrl-C, is one message and no traceback."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ('-h', '--help'):
        print(usage())
        return 0 if argv else 2
    verb = argv.pop(0)
    if verb not in VERBS:
        print(f'deeplake-mmdet: unknown verb {verb!r}\n\n{usage()}', file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(f'deeplake_mmdet.cli.{verb.replace("-", "_")}')
        code = module.main(argv) or 0
        sys.stdout.flush()  # while an error of it can still be told
        return code
    except DeepLakeMMDetError as error:
        print(printable(scrub(f'{type(error).__name__}: {message_of(error)}')), file=sys.stderr)
        if isinstance(error, TimeoutError):  # Deep Lake is still waiting, and would crash the interpreter at its end
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
        return 1
    except KeyboardInterrupt as interrupt:
        return _interrupted(interrupt)
    except Exception as error:
        # Where Ctrl-C meets the start of a compiled module, Python says that the module failed.
        if isinstance(error, ImportError) and isinstance(error.__cause__, KeyboardInterrupt):
            return _interrupted(error.__cause__)
        if isinstance(error, BrokenPipeError) and _let_go_of_reader():
            return READER_GONE
        print(scrubbed_traceback(error), file=sys.stderr, end='')
        return 1


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    print(f'interrupted. {interrupt}'.strip(), file=sys.stderr)
    return INTERRUPTED


def _let_go_of_reader() -> bool:
    """Whether the program that read our output has ended, as ``head`` does; if so, nobody is written to any more."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    is_gone = any(event & select.POLLERR for _, event in output.poll(0))
    if is_gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's end
    return is_gone
