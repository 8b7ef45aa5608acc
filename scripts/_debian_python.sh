#!/usr/bin/env bash
# Unpack Python 3.14 from Debian's next release into a folder: no root needed, nothing on the system changes.
# The mirror is the one the machine's own apt uses; everything is verified with Debian's archive keyring.
set -euo pipefail

# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"

target=$1
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
for tool in apt-get apt-config dpkg dpkg-deb; do
  command -v "$tool" >/dev/null || die "not a Debian system: no $tool"
done
[ -r "$keyring" ] || die "Debian's archive keyring is missing ($keyring)"

building=$target.building
work=$building/apt
rm -rf "$building"
mkdir -p "$building/root" "$work/lists/partial" "$work/archives/partial"
trap 'rm -rf "$building"' EXIT

machine_mirrors() {
  apt-get --print-uris update 2>/dev/null | sed -n "s|^'\(.*\)/dists/[a-z]*/InRelease' .*|\1|p" | awk '!seen[$0]++'
}
mirrors=$(machine_mirrors)

# The machine's way to the network, with lists of our own and an empty dpkg status: what is installed sways nothing.
: >"$work/status"
{
  apt-config dump | grep '^Acquire::' | grep -v -e '^Acquire::IndexTargets' -e '^Acquire::Languages'
  cat <<END
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
APT::Sandbox::User "$(id -un)";
Debug::NoLocking "1";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "$work";
Dir::State::status "$work/status";
END
} >"$work/apt.conf"
export APT_CONFIG=$work/apt.conf

download() {
  local mirror=$1 suite=$2
  echo "deb [arch=$(dpkg --print-architecture) signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
  say "trying Python 3.14 from Debian $suite"
  { apt-get -qq update &&
    apt-get -qq -y --no-install-recommends --download-only install python3.14-venv patchelf; } >"$work/log" 2>&1 && return
  tail -n 3 "$work/log" >&2
  return 1
}

download_any() {
  local suite mirror
  for suite in forky sid; do
    for mirror in $mirrors; do
      download "$mirror" "$suite" && return
    done
  done
  die "Python 3.14 is not to be had from this machine's Debian mirror"
}
download_any

say "unpacking Python 3.14"
for package in "$work"/archives/*.deb; do
  dpkg-deb --extract "$package" "$building/root"
done

# The binary gets this C library's loader and libraries, where they will lie in the end. Libraries that compiled packages
# may ask for are loaded up front, else those packages would find the machine's older ones.
cd "$building/root/usr"
libraries=$(dirname "$(find lib -name libc.so.6)")
loader=$(find lib -name 'ld-linux*.so.*' -type f)
edit() { "$loader" --library-path "$libraries" bin/patchelf "$@" bin/python3.14; }
edit --force-rpath --set-rpath "$target/usr/$libraries"
for library in libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libgcc_s.so.1 libstdc++.so.6; do
  edit --add-needed "$library"
done
edit --set-interpreter "$target/usr/$loader" # last: patchelf 0.18 aborts when more is changed after it
sed -i "s|/usr/share/python-wheels|$target/usr/share/python-wheels|" lib/python3.14/_sysconfigdata_*.py
cd /

rm -rf "$target"
mv "$building/root" "$target"
