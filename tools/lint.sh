#!/bin/sh
# What a compiler does not tell: luacheck, layers, exported symbols, paths of somebody's machine, sizes.
# Runs from the project's root after a build; says nothing when all is well but for the list of sizes.
set -u
status=0
complain() { echo "lint: $*" >&2; status=1; }

if command -v luacheck >/dev/null 2>&1; then
    luacheck --quiet --no-color . >"${BUILD:-build}/luacheck.txt" 2>&1 || {
        cat "${BUILD:-build}/luacheck.txt"
        complain luacheck
    }
else
    echo "lint: luacheck is not installed (Debian: lua-check), skipped"
fi

lua5.4 tools/layers.lua || complain layers
lua5.4 tools/sizes.lua || complain sizes
lua5.4 tools/documented.lua || complain documented

for so in "${BUILD:-build}"/rlhf/*.so; do
    extra=$(nm -D --defined-only "$so" | awk '{print $3}' | grep -v '^luaopen_' | grep -v '^_' | tr '\n' ' ')
    [ -z "$extra" ] || complain "$so exports $extra"
done

# A folder of somebody's machine has no place in the sources.
paths=$(git ls-files 2>/dev/null | grep -v '^tools/lint.sh$' | xargs -r grep -nIE '(^|[^A-Za-z0-9_.])/(home|root|work|Users)/' 2>/dev/null)
[ -z "$paths" ] || complain "machine's paths:
$paths"
exit $status
