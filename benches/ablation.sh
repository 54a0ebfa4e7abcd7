#!/usr/bin/env bash
# Does Lamarckism pay? LEMONADE, LEMONADE without inheritance, and random search, three seeds each, on
# digits (5 minutes a run) and 10,000 images of Fashion-MNIST (15 minutes a run): three hours in all, or
# half of that with BESIDE=2, two runs at a time, each on a core of its own.
# Resumable: run it again and it goes on. `[BESIDE=2] benches/ablation.sh FOLDER [digits|fashion]`
set -euo pipefail
folder=${1:?usage: benches/ablation.sh FOLDER [digits|fashion]}
source "$(dirname "$0")/searches.sh"
searches_begin "$folder"

jobs() {
  for seed in 1 2 3; do
    echo "$seed lemonade"
    echo "$seed no-inherit --no-inherit"
  done
  for seed in 1 2 3; do echo "$seed random --strategy random"; done
}

[ "${2:-digits}" != digits ] || jobs | searches digits 5min
[ "${2:-fashion}" != fashion ] || jobs | searches fashion 15min
python3 "$analysis" .
