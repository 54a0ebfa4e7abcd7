#!/usr/bin/env bash
# Does Lamarckism pay? LEMONADE, LEMONADE without inheritance, and random search, three seeds each, on
# digits (5 minutes a run) and 10,000 images of Fashion-MNIST (15 minutes a run): three hours in all, or
# half of that with BESIDE=2, two runs at a time, each on a core of its own.
# Resumable: run it again and it goes on. `[BESIDE=2] benches/ablation.sh FOLDER [digits|fashion]`
set -euo pipefail
folder=${1:?usage: benches/ablation.sh FOLDER [digits|fashion]}
only=${2:-}
export BESIDE=${BESIDE:-1}
cd "$(dirname "$0")/.."
cargo build --release --quiet
export citronade=$PWD/target/release/citronade
analysis=$PWD/benches/ablation.py
mkdir -p "$folder"
cd "$folder"

jobs() { # of one data set: its name and the budget of a run
  for seed in 1 2 3; do
    for strategy in lemonade no-inherit; do echo "$1 $2 $strategy $seed"; done
  done
  for seed in 1 2 3; do echo "$1 $2 random $seed"; done
}

search() { # name of the data, store, further arguments
  local data=$1 store=$2
  shift 2
  [ "$data" = digits ] || set -- --data fashion-mnist --data-limit 10000 "$@"
  "$citronade" search --quiet --json --store "$store" --reference "$data.reference.json" "$@"
}

run() { # name of the data, budget, strategy, seed
  local name=$1-$3-$4
  case $3 in
    lemonade) set -- "$@" ;;
    no-inherit) set -- "$@" --no-inherit ;;
    random) set -- "$@" --strategy random ;;
  esac
  if [ "$BESIDE" != 1 ]; then
    taskset -cp "$CORE" $BASHPID >/dev/null
    # Each measures on a core of its own, so they need not wait for each other.
    export CITRONADE_LOCK_DIR=$PWD/core-$CORE
    mkdir -p "$CITRONADE_LOCK_DIR"
  fi
  search "$1" "$name.db" --budget "$2" --seed "$4" "${@:5}" >"$name.jsonl"
}
export -f search run

for data in digits fashion; do
  [ -z "$only" ] || [ "$only" = "$data" ] || continue
  [ "$data" = digits ] && budget=5min || budget=15min
  # One scale of the hypervolume for all runs: that of the six seed networks.
  [ -e "$data.reference.json" ] || search "$data" "$data-reference.db" --budget 6candidates >/dev/null
  jobs "$data" "$budget" | xargs -P "$BESIDE" --process-slot-var=CORE -L 1 bash -c 'set -euo pipefail; run "$@"' run
done
python3 "$analysis" .
