#!/bin/sh
# Our trainer beside PyTorch on the same nets and batches: short processes in turn, so that what
# disturbs one disturbs both. Prints for each net the median over rounds of the median ms a step,
# and how much faster we are than PyTorch's faster layout.
#
#   benches/trainer_vs_pytorch.sh [ROUNDS] [THREADS] [LEVEL]
#
# PYTHON names a Python with torch; BENCH a built `trainer` benchmark. Development only.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5} threads=${2:-2} level=${3:-avx512} batch=${BATCH:-64} steps=${STEPS:-25}
python=${PYTHON:-python3}
case $level in
avx2) export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ;;
esac
bench=${BENCH:-}
if [ -z "$bench" ]; then
    cargo bench --bench trainer --no-run
    bench=$(ls -t target/release/deps/trainer-* | grep -v '\.d$' | head -n 1)
fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT
for net in a b; do
    round=0
    while [ "$round" -lt "$rounds" ]; do
        echo "$net ours $("$bench" "$net" "$batch" "$threads" "$level" "$steps")" >>"$results"
        for layout in channels_last contiguous; do
            line=$("$python" benches/trainer_pytorch.py "$net" "$batch" "$threads" "$layout" "$steps")
            echo "$net $layout $line" >>"$results"
        done
        round=$((round + 1))
    done
done
echo "batch $batch, $threads threads, $level, $rounds rounds of $steps steps: median ms a step (least)"
sort -k1,1 -k2,2 -k3,3n "$results" | awk '
    function finish() {
        if (key == "") return
        median[key] = values[int((count + 1) / 2)]
        printf "net %-20s %9.2f (%.2f)\n", key, median[key], least
    }
    {
        now = $1 " " $2
        if (now != key) { finish(); key = now; count = 0; least = $4 }
        values[++count] = $3
        if ($4 < least) least = $4
    }
    END {
        finish()
        for (i = 1; i <= 2; i++) {
            net = i == 1 ? "a" : "b"
            best = median[net " channels_last"]
            if (median[net " contiguous"] < best) best = median[net " contiguous"]
            printf "net %s: %.2f times as fast as the faster PyTorch\n", net, best / median[net " ours"]
        }
    }'
