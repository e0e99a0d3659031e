#!/usr/bin/env bash
# Installs the programs that the tests start: a broker, a browser, Node (for a client library and the page's modules).
# Without the right to install, it says what is missing, and those tests skip (in CI they fail).
set -eu

declare -A package=(
  [mosquitto]=mosquitto [mosquitto_pub]=mosquitto-clients [chromium]=chromium [node]=nodejs [npm]=npm
  [curl]=curl [openssl]=openssl
)
# The peers that `make bench` measures beside the gateway, and the compiler for its load generator.
if [ "${1:-}" = bench ]; then package+=([nginx]="nginx libnginx-mod-nchan" [gcc]="gcc libc6-dev"); fi
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ] || missing+=("${package[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo); else as_root=(false); fi
fi
if command -v apt-get >/dev/null && [ "${as_root[*]:-}" != false ]; then
  echo "Installing ${missing[*]} for the tests."
  export DEBIAN_FRONTEND=noninteractive
  ${as_root[@]+"${as_root[@]}"} apt-get update -qq
  ${as_root[@]+"${as_root[@]}"} apt-get install -y -qq --no-install-recommends ${missing[@]} >/dev/null
else
  echo "Tests that need these are skipped until you install them: ${missing[*]}"
  echo "On Debian, Ubuntu and Raspberry Pi OS: sudo apt install ${missing[*]}"
fi
