#!/bin/sh
# Prometheus' checker for the tests of deploy/: unpacked from Debian's package into the directory $1 where it is not installed.
# Where it cannot be had those tests are skipped, and this says why.
set -eu

command -v promtool >/dev/null && exit 0
[ -x "$1/usr/bin/promtool" ] && exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "promtool: not installed, and there is no apt to get it from: what it would check is skipped"
    exit 0
fi
mkdir -p "$1"
cd "$1"
# A bare image has no lists of packages yet, and only root may fetch them.
if ! apt-get download -qq prometheus 2>/dev/null && ! { apt-get update -qq && apt-get download -qq prometheus; }; then
    echo "promtool: not installed, and apt cannot get the package prometheus: what it would check is skipped"
    exit 0
fi
dpkg-deb --extract prometheus_*.deb .
rm prometheus_*.deb
