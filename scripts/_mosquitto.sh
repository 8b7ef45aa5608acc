# shellcheck shell=bash
# Find or get a Mosquitto for the figures of leading over MQTT. Sets $mosquitto to what starts one.

# It tells its version beside how it is used, and that with a status of its own.
mosquitto_ok() { [ -x "$1" ] && [[ $("$1" -h 2>&1 || true) == "mosquitto version"* ]]; }

find_mosquitto() {
  local name
  for name in mosquitto /usr/sbin/mosquitto "$1/mosquitto"; do
    mosquitto=$(command -v "$name" || true)
    mosquitto_ok "$mosquitto" && return
  done
  return 1
}

# Debian's package, unpacked into a folder with the libraries that the machine lacks: nothing is installed, no service starts.
get_mosquitto() {
  local building=$1.building packages
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "no Mosquitto, and this is no Debian: install the package mosquitto and start again"
  say "getting Mosquitto from Debian"
  rm -rf "$building"
  mkdir -p "$building/archives/partial" "$building/root"
  packages=(-qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 -o "Dir::Cache::archives=$building/archives" install mosquitto)
  apt-get "${packages[@]}" >&2 || { apt-get -qq update >&2 && apt-get "${packages[@]}" >&2; } ||
    die "Mosquitto is not to be had from this machine's Debian mirror"
  for package in "$building"/archives/*.deb; do
    dpkg-deb --extract "$package" "$building/root"
  done
  # The libraries lie in folders of the machine's architecture.
  cat >"$building/mosquitto" <<'END'
#!/usr/bin/env bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for folder in "$here"/root/usr/lib/*/ "$here"/root/lib/*/; do LD_LIBRARY_PATH=$folder:${LD_LIBRARY_PATH-}; done
export LD_LIBRARY_PATH
exec "$here/root/usr/sbin/mosquitto" "$@"
END
  chmod +x "$building/mosquitto"
  rm -rf "$building/archives" "$1"
  mv "$building" "$1"
  mosquitto=$1/mosquitto
  mosquitto_ok "$mosquitto" || die "the Mosquitto in $1 does not start"
}
