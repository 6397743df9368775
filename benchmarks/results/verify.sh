#!/usr/bin/env bash
# Verifies packs. `bash verify.sh` verifies all of packs/. `bash verify.sh COMMIT` verifies those added since the branch
# point from that commit, and fails for any other change, which a maintainer must review. Rows that pass are written to
# the store `checked` ($CHECKED), which site.sh reads.
# File names are untrusted: they are always quoted, and printed with %q after a fixed word, since GitHub runs lines that
# start with :: as commands.
set -euo pipefail
export LC_ALL=C
command=(reidbench verify --store "${CHECKED:-checked}")
signers=$(dirname -- "${BASH_SOURCE[0]}")/allowed_signers # next to this script, not from the pull request
if grep -qsE '^[[:space:]]*[^#[:space:]]' "$signers"; then
  command+=(--signers "$signers")
fi
verified=0 wrong=0

complain() { # NAME SENTENCE
  printf 'review %q: %s\n' "$1" "$2"
  wrong=$((wrong + 1))
}

verify() { # PACK
  if [[ ! $1 =~ ^packs/[A-Za-z0-9][A-Za-z0-9._-]*\.zip$ ]]; then
    complain "$1" "not a pack; use packs/NAME.zip, where NAME consists of letters, digits, '.', '_' and '-'"
  elif [[ -L $1 || ! -f $1 ]]; then
    complain "$1" "a link or a folder; expected a file"
  else
    printf '== %s\n' "$1"
    if "${command[@]}" "$1" < /dev/null; then
      verified=$((verified + 1))
    else
      complain "$1" "does not verify (above)"
    fi
  fi
}

if (($# == 0)); then
  for pack in packs/*; do
    if [[ -e $pack || -L $pack ]]; then # the pattern itself, if nothing matches
      verify "$pack"
    fi
  done
else
  base=$(git merge-base "$1" HEAD)
  changes=$(mktemp)
  trap 'rm -f "$changes"' EXIT
  git diff --raw -z --no-renames --relative "$base" HEAD > "$changes"
  while IFS= read -r -d '' what && IFS= read -r -d '' name; do
    read -r _ mode _ _ status <<< "$what"
    case $status/$mode in
      A/100644) verify "$name" ;;
      A/*) complain "$name" "a link, an executable or a submodule; expected a plain file" ;;
      D/*) complain "$name" "is removed; only maintainers may remove files" ;;
      *) complain "$name" "is changed; only maintainers may change files; add a pack under a new name" ;;
    esac
  done < "$changes"
  if ((verified + wrong == 0)); then
    printf 'nothing added since %q; commit the pack first\n' "$1"
    exit 1
  fi
fi
printf 'packs verified: %d; to review: %d\n' "$verified" "$wrong"
((wrong == 0))
