#!/usr/bin/env bash
# Verifies packs. `bash verify.sh` takes all of packs/. `bash verify.sh COMMIT` takes those that were added since the branch
# left that commit, and fails for every other change: a person has to look at it. Rows that pass go into the store `checked`
# ($CHECKED), from which site.sh has who checked them.
# Names of files come from strangers: they are quoted arguments, and are printed with %q behind a word of ours, since a
# line that begins with :: is a command to GitHub.
set -euo pipefail
export LC_ALL=C
command=(reidbench verify --store "${CHECKED:-checked}")
signers=$(dirname -- "${BASH_SOURCE[0]}")/allowed_signers # that of this script, which a pull request does not bring along
if grep -qsE '^[[:space:]]*[^#[:space:]]' "$signers"; then
  command+=(--signers "$signers")
fi
verified=0 wrong=0

complain() { # NAME SENTENCE
  printf 'look at %q: %s\n' "$1" "$2"
  wrong=$((wrong + 1))
}

verify() { # PACK
  if [[ ! $1 =~ ^packs/[A-Za-z0-9][A-Za-z0-9._-]*\.zip$ ]]; then
    complain "$1" "no pack: a pack is packs/NAME.zip, and NAME has letters, digits, '.', '_' and '-'"
  elif [[ -L $1 || ! -f $1 ]]; then
    complain "$1" "a link or a folder, where a file is expected"
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
    if [[ -e $pack || -L $pack ]]; then # without any, the pattern stays as it is
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
      A/*) complain "$name" "a link, a program or another repository, where a plain file is expected" ;;
      D/*) complain "$name" "is removed, which only those may do who keep this repository" ;;
      *) complain "$name" "is changed, which only those may do who keep this repository; add a pack under a new name" ;;
    esac
  done < "$changes"
  if ((verified + wrong == 0)); then
    printf 'nothing was added since %q: commit the pack first\n' "$1"
    exit 1
  fi
fi
printf 'packs verified: %d; to look at: %d\n' "$verified" "$wrong"
((wrong == 0))
