#!/usr/bin/env bash
# Makes the environment $VENV from the lock $LOCK with the interpreter $PYTHON; called by `make venv` and
# `make venv-openmmlab`.
#
# mmcv (onedl-mmcv, or OpenMMLab's own) comes by itself, after torch: its registry offers a source distribution only,
# which must be compiled against the very torch that is installed, so pip's build isolation (another torch) would break
# it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
venv=${VENV:-.venv}
lock=${LOCK:-requirements/lock.txt}
log=$venv/install.log
mmcv=$(grep -oE '^(onedl-)?mmcv==[^ ;]*' "$lock")

fail() {
    echo "make venv: $*" >&2
    exit 1
}

pip_install() {
    "$venv/bin/python" -m pip install "$@" >>"$log" 2>&1
}

must_install() {
    pip_install "$@" && return
    grep -v '^Requirement already satisfied' "$log" | tail -n 20 >&2
    fail "pip failed; $log has all of its output. Calling make again takes up from here"
}

check_interpreter() {
    command -v "$python" >/dev/null ||
        fail "there is no '$python'. Install Python 3.10 or newer, or name one: make venv PYTHON=python3.12"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "Python 3.10 or newer is needed, and '$python' is another. Name one: make venv PYTHON=python3.12"
}

make_venv() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    echo "Making $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv" ||
        fail "'$python -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv"
}

install_all_but_mmcv() {
    echo "Installing torch, MMDetection, Deep Lake and the tools: a minute or two, longer where torch brings CUDA"
    grep -vF "$mmcv" "$lock" >"$venv/all-but-mmcv.txt"
    must_install -r "$venv/all-but-mmcv.txt"
}

# opencv-python and opencv-python-headless share the folder cv2. The first needs libGL and libglib, which servers lack.
make_opencv_importable() {
    "$venv/bin/python" -c 'import cv2' >>"$log" 2>&1 && return
    echo "Replacing opencv-python with its headless build: it needs libraries of a desktop that are not here"
    "$venv/bin/python" -m pip uninstall -y opencv-python >>"$log" 2>&1
    must_install --force-reinstall --no-deps "$(grep -o '^opencv-python-headless==[^ ;]*' "$lock")"
}

# Loads mmcv._ext by its path: whether it fits the installed torch is the question, not whether all of mmcv imports.
operators_load() {
    "$venv/bin/python" - >>"$log" 2>&1 <<'PYTHON'
import glob, importlib.machinery, importlib.util
import torch
(folder,) = importlib.util.find_spec('mmcv').submodule_search_locations
loader = importlib.machinery.ExtensionFileLoader('_ext', glob.glob(f'{folder}/_ext.*')[0])
importlib.util.module_from_spec(importlib.util.spec_from_loader('_ext', loader))
PYTHON
}

check_compiler() {
    command -v "${CXX:-c++}" >/dev/null ||
        fail "a C++ compiler is needed to build $mmcv. On Debian and Ubuntu: apt-get install g++"
    "$venv/bin/python" -c 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")' 2>>"$log" ||
        fail "Python.h is needed to build $mmcv. On Debian and Ubuntu: apt-get install python3-dev"
}

# For a GPU without nvcc mmcv's setup would try to compile, because torch sees the GPU, and fail.
hide_gpu_without_nvcc() {
    command -v nvcc >/dev/null || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ] || export CUDA_VISIBLE_DEVICES=
}

compile_mmcv() {
    check_compiler
    echo "Compiling the operators of $mmcv: about 15 minutes on 2 cores (it is $(date +%H:%M))."
    echo "    To use a built wheel instead: PIP_FIND_LINKS=/folder/with/wheels make venv"
    hide_gpu_without_nvcc
    MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc 2>/dev/null || echo 2)} PATH="$PWD/$venv/bin:$PATH" \
        must_install --no-deps --no-build-isolation --force-reinstall --no-binary "${mmcv%%=*}" "$@" "$mmcv"
    operators_load
}

# pip keeps the wheel it compiled: one that was compiled against another torch does not load, and is compiled anew.
install_mmcv() {
    operators_load && return
    echo "Installing $mmcv from a built wheel, if there is one"
    pip_install --no-deps --only-binary "${mmcv%%=*}" "$mmcv" && operators_load && return
    compile_mmcv || compile_mmcv --no-cache-dir ||
        fail "the operators of $mmcv do not load after they were compiled; see $log"
}

check_interpreter
make_venv
: >"$log"
install_all_but_mmcv
make_opencv_importable
install_mmcv
echo "Installing deeplake_mmdet itself"
must_install --no-deps --no-build-isolation --editable .
echo "Ready: $venv"
