"""Command-line verbs; ``tools/*.py`` and the ``deeplake-mmdet`` command call the same ``main(argv)`` of each."""
