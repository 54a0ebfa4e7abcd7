#!/usr/bin/env bash
# Does Lamarckism pay? LEMONADE, LEMONADE without inheritance, and random search, three seeds each, on
# digits (5 minutes a run) and 10,000 images of Fashion-MNIST (15 minutes a run): three hours in all.
# Resumable: run it again and it goes on. `benches/ablation.sh FOLDER [digits|fashion]`
set -euo pipefail
folder=${1:?usage: benches/ablation.sh FOLDER [digits|fashion]}
only=${2:-}
cd "$(dirname "$0")/.."
cargo build --release --quiet
citronade=$PWD/target/release/citronade
analysis=$PWD/benches/ablation.py
mkdir -p "$folder"
cd "$folder"

run() { # data-name budget strategy-name seed arguments…
  local data=$1 budget=$2 strategy=$3 seed=$4
  shift 4
  local store=$data-$strategy-$seed.db
  "$citronade" search --quiet --json --store "$store" --budget "$budget" --seed "$seed" \
    --reference "$data.reference.json" "$@" >"$data-$strategy-$seed.jsonl"
}

for seed in 1 2 3; do
  for strategy in lemonade no-inherit random; do
    case $strategy in
      lemonade) flags=() ;;
      no-inherit) flags=(--no-inherit) ;;
      random) flags=(--strategy random) ;;
    esac
    [ "$only" = fashion ] || run digits 5min $strategy $seed "${flags[@]}"
    [ "$only" = digits ] || run fashion 15min $strategy $seed --data fashion-mnist --data-limit 10000 "${flags[@]}"
  done
done
python3 "$analysis" .
