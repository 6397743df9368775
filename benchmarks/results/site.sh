#!/usr/bin/env bash
# Builds the site of all packs in site/. Its title is the heading of README.md. Rows checked by verify.sh are shown with
# the numbers computed by it, and with the status of the check.
set -euo pipefail
shopt -s nullglob
packs=(packs/*.zip)
if ((${#packs[@]} == 0)); then
  echo "packs/ contains no packs; add one to build the site" >&2
  exit 1
fi
title=$(sed -n '/^# /{s/^# //p;q;}' README.md)
command=(reidbench site "${packs[@]}" -o site "--title=${title:-Results}")
checked=${CHECKED:-checked}
if [[ -d $checked ]]; then
  command+=(--store "$checked")
fi
"${command[@]}"
