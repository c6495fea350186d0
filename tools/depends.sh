#!/bin/sh
# Debian and Ubuntu packages that a task needs: finds what is missing by what is not there, installs it where
# it may (as root, or by sudo where that asks for no password), else says in one line what to type.
# Usage: depends.sh build|test|doc
set -u
task=${1:-build}
missing=
command_of() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
library() { pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"; }

command -v "${CC:-cc}" >/dev/null 2>&1 || missing=" gcc libc6-dev" # which gcc only recommends
command_of make make
command_of pkg-config pkg-config
command_of "${LUA:-lua5.4}" lua5.4
library lua5.4 liblua5.4-dev
library openblas libopenblas-dev
library libpcre2-8 libpcre2-dev
library libutf8proc libutf8proc-dev
library jansson libjansson-dev
case $task in
    build) ;;
    test) command_of busted lua-busted; command_of luacheck lua-check ;;
    doc)
        command_of ldoc lua-ldoc
        ls /usr/share/lua/*/markdown.lua /usr/local/share/lua/*/markdown.lua 2>/dev/null | grep -q . ||
            missing="$missing lua-markdown" # ldoc finds it where its own Lua looks
        ;;
    *) echo "usage: depends.sh build|test|doc" >&2; exit 2 ;;
esac
[ -z "$missing" ] && exit 0

# apt's own words are kept for when it fails. A list that can't be fetched (another source's, no network)
# need not stop the install.
install() {
    $1 apt-get update
    $1 env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $missing
}

sudo=
if [ "$(id -u)" != 0 ]; then command -v sudo >/dev/null 2>&1 && sudo="sudo "; fi
if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true; } >/dev/null 2>&1; then
    echo "installing:$missing"
    log=$(mktemp)
    install "${sudo:+sudo -n}" >"$log" 2>&1 && { rm -f "$log"; exit 0; }
    grep -E '^(E|Err|W):' "$log" | tail -n 5 >&2
    rm -f "$log"
fi
who=
[ -z "$sudo" ] && [ "$(id -u)" != 0 ] && who=" as root"
echo "Packages are missing; install them$who: ${sudo}apt install$missing" >&2
[ "$missing" = " lua-check" ] # without luacheck the specs still run
