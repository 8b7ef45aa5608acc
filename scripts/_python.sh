# shellcheck shell=bash
# Find or get a Python that Home Assistant runs on. Sets $uv and $python.

: "${root:?}" "${cache:?}"

python_range=">=3.14.2,<3.15"
uv_version=0.13.8

python_ok() {
  [ -n "$1" ] && "$1" -I -c '
import bz2, ctypes, lzma, sqlite3, ssl, sys, venv, zlib, zoneinfo
sys.exit(not (3, 14, 2) <= sys.version_info < (3, 15))' >/dev/null 2>&1
}

# Set $uv to the one on the PATH or to one of our own, installed from PyPI with the given Python.
get_uv() {
  uv=$(command -v uv) && "$uv" --version >/dev/null 2>&1 && return
  uv=$cache/uv-$uv_version/bin/uv
  "$uv" --version >/dev/null 2>&1 && return
  local log=$cache/uv.log
  say "installing uv"
  rm -rf "$cache/uv-$uv_version"
  { "$1" -m venv "$cache/uv-$uv_version" &&
    "$cache/uv-$uv_version/bin/python" -m pip install --quiet --retries 1 "uv==$uv_version"; } >"$log" 2>&1 &&
    "$uv" --version >/dev/null 2>&1
}

# What uv knows about, be it its own or one that it finds on the machine.
uv_python() {
  "$uv" python find --no-python-downloads --no-project --system "$python_range" 2>/dev/null
}

# Set $python: on the PATH, known to uv, downloaded by uv, or unpacked from Debian's packages.
find_python() {
  python=$(command -v python3.14 || true)
  python_ok "$python" && return

  if get_uv "$(command -v python3 || true)"; then
    python=$(uv_python || true)
    python_ok "$python" && return
    export UV_PYTHON_INSTALL_DIR=$cache/uv-python
    python=$(uv_python || true)
    python_ok "$python" && return
    say "downloading Python 3.14"
    if UV_HTTP_TIMEOUT=10 UV_HTTP_RETRIES=0 "$uv" python install --quiet --no-bin "$python_range" 2>/dev/null; then
      python=$(uv_python || true)
      python_ok "$python" && return
    fi
  fi

  python=$cache/debian-python/usr/bin/python3.14
  python_ok "$python" && return
  "$root/scripts/_debian_python.sh" "$cache/debian-python" >&2 && python_ok "$python" && return
  die "no Python 3.14.2 or newer: put python3.14 on the PATH (python.org, your system's packages or uv have it) and start again"
}
