# shellcheck shell=bash
# What the parts of the set-up share: progress and failure go to stderr, stdout is for the answer.

say() { echo "setup: $*" >&2; }

die() {
  say "$*"
  exit 1
}
