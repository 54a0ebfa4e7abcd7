# Many searches that are compared, for `source`: each on the same machine, or two at a time on a core each
# (BESIDE=2), all with one scale of the hypervolume. Resumable: a search that is in its store goes on.

searches_begin() { # folder
  export BESIDE=${BESIDE:-1}
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  cargo build --release --quiet
  export citronade=${CARGO_TARGET_DIR:-$PWD/target}/release/citronade
  export analysis=$PWD/benches/hypervolume.py
  mkdir -p "$1"
  cd "$1"
}

search() { # name of the data, store, further arguments
  local data=$1 store=$2
  shift 2
  [ "$data" = digits ] || set -- --data fashion-mnist --data-limit 10000 "$@"
  "$citronade" search --quiet --json --store "$store" --reference "$data.reference.json" "$@"
}

run() { # name of the data, budget, seed, name of the search, its arguments
  local data=$1 budget=$2 seed=$3 name=$1-$4-$3
  shift 4
  if [ "$BESIDE" != 1 ]; then
    taskset -cp "$CORE" $BASHPID >/dev/null
    # Each measures on a core of its own, so they need not wait for each other.
    export CITRONADE_LOCK_DIR=$PWD/core-$CORE
    mkdir -p "$CITRONADE_LOCK_DIR"
  fi
  search "$data" "$name.db" --budget "$budget" --seed "$seed" "$@" >"$name.jsonl"
}
export -f search run

# Runs the lines of standard input, each `SEED NAME ARGUMENT…`.
searches() { # name of the data, budget
  # One scale for all: that of the seed networks.
  [ -e "$1.reference.json" ] || search "$1" "$1-reference.db" --budget 6candidates >/dev/null
  xargs -P "$BESIDE" --process-slot-var=CORE -L 1 bash -c 'set -euo pipefail; run "$@"' run "$1" "$2"
}
