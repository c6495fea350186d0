#!/bin/sh
# Debian packages that the build and the suite need: finds what is missing by what is not there, and
# installs it where it may. Usage: depends.sh build|test
set -u
missing=
command_of() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
library() { pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"; }

command_of "${CC:-cc}" gcc
command_of make make
command_of pkg-config pkg-config
command_of "${LUA:-lua5.4}" lua5.4
library lua5.4 liblua5.4-dev
library openblas libopenblas-dev
library libpcre2-8 libpcre2-dev
library libutf8proc libutf8proc-dev
library jansson libjansson-dev
if [ "${1:-build}" = test ]; then
    command_of busted lua-busted
    command_of luacheck lua-check
fi
[ -z "$missing" ] && exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
    sudo -n true 2>/dev/null || as_root=none
fi
if [ "$as_root" != none ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:$missing"
    log=$(mktemp)
    if { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends libc6-dev $missing; } >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 5 "$log" >&2
    rm -f "$log"
fi
echo "missing Debian packages:$missing" >&2
[ "$missing" = " lua-check" ] # without luacheck the specs still run
