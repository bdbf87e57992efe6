#!/usr/bin/env bash
# Installs each package that packaging/package.sh made, in a folder of its own, and starts what it installed.
#
#   packaging/check.sh [FOLDER]        default: target/packages
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-target/packages}
out=$(cd "$out" && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf '== %s\n' "$*"; }
fail() { printf 'packaging/check.sh: %s\n' "$*" >&2; exit 1; }

# What an installed program must do: say its version, look at the embedded demo and quantize it.
starts() {
    [ "$("$1" --version)" = "splitscope $version" ] || fail "$1 is not version $version"
    "$1" inspect demo:fashion > "$scratch/layers"
    grep -q layer3.2.conv1 "$scratch/layers" || fail "$1 does not list the demo's layers"
    "$1" quantize demo:fashion --preset int4 -o "$scratch/out.onnx" --report "$scratch/report.json" > /dev/null
    [ -s "$scratch/out.onnx" ] || fail "$1 wrote nothing"
    rm "$scratch/out.onnx"
}

checked=0
for archive in "$out"/splitscope-"$version"-*.tar.gz; do
    [ -e "$archive" ] || continue
    say "$(basename "$archive")"
    mkdir "$scratch/tar"
    tar -C "$scratch/tar" --strip-components=1 -xf "$archive"
    starts "$scratch/tar/bin/splitscope"
    gzip -t "$scratch/tar/share/man/man1/splitscope.1.gz"
    bash -n "$scratch/tar/share/bash-completion/completions/splitscope"
    checked=$((checked + 1))
done
for package in "$out"/splitscope_"$version"_*.deb; do
    [ -e "$package" ] && command -v dpkg-deb > /dev/null || continue
    say "$(basename "$package")"
    dpkg-deb --info "$package" > /dev/null
    dpkg-deb --extract "$package" "$scratch/deb"
    starts "$scratch/deb/usr/bin/splitscope"
    checked=$((checked + 1))
done
for wheel in "$out"/splitscope-"$version"-*.whl; do
    [ -e "$wheel" ] && command -v python3 > /dev/null || continue
    say "$(basename "$wheel")"
    python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet --no-deps "$wheel"
    starts "$scratch/venv/bin/splitscope"
    checked=$((checked + 1))
done
[ "$checked" -gt 0 ] || fail "no package of version $version in $out"
say "$checked packages install and start"
