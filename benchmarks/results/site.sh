#!/usr/bin/env bash
# Makes the site of all packs in site/. Its title is the heading of README.md. Of rows that verify.sh has checked it shows
# the numbers that were computed then, and the word for it.
set -euo pipefail
shopt -s nullglob
packs=(packs/*.zip)
if ((${#packs[@]} == 0)); then
  echo "packs/ has no pack yet, so there is no site to make" >&2
  exit 1
fi
title=$(sed -n '/^# /{s/^# //p;q;}' README.md)
command=(reidbench site "${packs[@]}" -o site "--title=${title:-Results}")
checked=${CHECKED:-checked}
if [[ -d $checked ]]; then
  command+=(--store "$checked")
fi
"${command[@]}"
