#!/usr/bin/env bash
# Packages of the program: a tarball, a .deb and, where maturin is installed, a wheel for pip.
#
#   packaging/package.sh [FOLDER]      default: target/packages
#
# The same sources give the same bytes: every time in the packages is that of the last commit, or SOURCE_DATE_EPOCH.
# Set SPLITSCOPE=PATH to pack a program that is built already.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."

say() { printf '== %s\n' "$*"; }

out=${1:-target/packages}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
# A build folder's own path would otherwise be in the program.
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=splitscope --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
# Functions that came out the same are kept once; the linker that rustc brings for this target can do that.
[ "$target" != x86_64-unknown-linux-gnu ] || RUSTFLAGS="$RUSTFLAGS -Clink-arg=-Wl,--icf=all"

program=${SPLITSCOPE:-}
if [ -z "$program" ]; then
    say "building $version for $target"
    cargo build --locked --profile dist --bin splitscope
    program=target/dist/splitscope
fi
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What a package installs, under a prefix.
tree() {
    install -Dm755 "$program" "$1/bin/splitscope"
    install -Dm644 packaging/splitscope.desktop "$1/share/applications/splitscope.desktop"
    install -Dm644 packaging/splitscope.metainfo.xml "$1/share/metainfo/splitscope.metainfo.xml"
    install -Dm644 packaging/splitscope-mime.xml "$1/share/mime/packages/splitscope.xml"
    install -Dm644 assets/icon.svg "$1/share/icons/hicolor/scalable/apps/splitscope.svg"
    install -Dm644 assets/icon.png "$1/share/icons/hicolor/256x256/apps/splitscope.png"
    install -Dm644 assets/icon-64.png "$1/share/icons/hicolor/64x64/apps/splitscope.png"
    install -Dm644 LICENSE "$1/share/doc/splitscope/copyright"
    mkdir -p "$1/share/man/man1" "$1/share/bash-completion/completions" "$1/share/zsh/site-functions" "$1/share/fish/vendor_completions.d"
    "$program" generate man | gzip -9n > "$1/share/man/man1/splitscope.1.gz"
    "$program" generate bash > "$1/share/bash-completion/completions/splitscope"
    "$program" generate zsh > "$1/share/zsh/site-functions/_splitscope"
    "$program" generate fish > "$1/share/fish/vendor_completions.d/splitscope.fish"
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

name=splitscope-$version-$target
say "$name.tar.gz"
tree "$scratch/$name"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    -C "$scratch" -cf - "$name" | gzip -9n > "$out/$name.tar.gz"

if command -v dpkg-deb >/dev/null; then
    architecture=$(dpkg --print-architecture)
    say "splitscope_${version}_$architecture.deb"
    tree "$scratch/deb/usr"
    mkdir "$scratch/deb/DEBIAN"
    # The window loads its libraries when it starts; the command line needs none but libc.
    cat > "$scratch/deb/DEBIAN/control" <<CONTROL
Package: splitscope
Version: $version
Architecture: $architecture
Maintainer: The authors of Splitscope <splitscope@localhost>
Section: science
Priority: optional
Installed-Size: $(du -sk "$scratch/deb/usr" | cut -f1)
Depends: libc6, libgcc-s1
Recommends: libgl1, libegl1, libxkbcommon0, libxkbcommon-x11-0, libx11-6, libx11-xcb1, libxcursor1, libxi6, libxrandr2, libwayland-client0
Description: see the outliers of a trained network and quantize it without retraining
 Shows the distributions of weights and activations, splits, clips, scales and
 rounds them, previews the quantized answers and exports what was seen.
CONTROL
    find "$scratch/deb" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$scratch/deb" "$out/splitscope_${version}_$architecture.deb" > /dev/null
else
    say "no .deb: dpkg-deb is not here"
fi

if command -v maturin >/dev/null && [ -z "${SPLITSCOPE:-}" ]; then
    say "wheel"
    maturin build --locked --out "$out" > /dev/null
else
    say "no wheel: maturin is not here, or the program was given (pip install maturin)"
fi

(cd "$out" && sha256sum -- *"$version"*)
