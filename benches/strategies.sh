#!/usr/bin/env bash
# Which strategy finds most in real searches? Every strategy on digits (3 minutes a run, SEEDS of them), and
# those that learn on 10,000 images of Fashion-MNIST (15 minutes a run): the same device, the same trainer,
# the same scale. Each in the open space of morphisms, but reinforce, which needs decisions, in `chain`, as its
# source has it, and beside it random in the same.
# Resumable: run it again and it goes on. `[BESIDE=2] [SEEDS=3] benches/strategies.sh FOLDER [digits|fashion [STRATEGY…]]`
set -euo pipefail
folder=${1:?usage: benches/strategies.sh FOLDER [digits|fashion [STRATEGY…]]} only=${*:3}
source "$(dirname "$0")/searches.sh"
searches_begin "$folder"

jobs() { # seeds, strategies
  local seeds=$1
  shift
  for seed in $(seq "$seeds"); do
    for strategy in "$@"; do
      case $strategy in
        reinforce) echo "$seed $strategy --strategy $strategy --space chain" ;;
        random-chain) echo "$seed $strategy --strategy random --space chain" ;;
        *) echo "$seed $strategy --strategy $strategy" ;;
      esac
    done
  done
}

# Their variants, `NAME:PART`, are for tables.
all="$("$citronade" strategies | cut -d' ' -f1 | grep -v :) random-chain"
learning="lemonade citron nsga2 regularized-evolution nash reinforce bananas rena"
# Names are words.
# shellcheck disable=SC2086
[ "${2:-digits}" != digits ] || jobs "${SEEDS:-3}" ${only:-$all} | searches digits 3min
# shellcheck disable=SC2086
[ "${2:-fashion}" != fashion ] || jobs "${SEEDS:-1}" ${only:-$learning} | searches fashion 15min
python3 "$analysis" .
