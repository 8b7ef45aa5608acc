# shellcheck shell=bash
# Find or get a Chromium for the browser tests. Sets $browser.

browser_ok() { [ -n "$1" ] && "$1" --version >/dev/null 2>&1; }

find_browser() {
  local name
  for name in chromium google-chrome google-chrome-stable chromium-browser \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium; do
    browser=$(command -v "$name" || true)
    browser_ok "$browser" && return
  done
  return 1
}

playwright_browser() {
  "$1" -c '
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)'
}

# Install one: Debian's own as root on Debian, else the one that Playwright brings, made with the given Python.
get_browser() {
  if [ "$(id -u)" = 0 ] && grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
    say "installing chromium from Debian"
    apt-get -qq update >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium >&2 || true
    find_browser && return
  fi
  browser=$(playwright_browser "$1")
  browser_ok "$browser" && return
  say "downloading Chromium with Playwright"
  PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT=10000 "$1" -m playwright install chromium >&2 || true
  browser_ok "$browser" || die "no browser: install chromium or google-chrome and start again"
}
