#!/bin/sh
# Fuzzes one target for so many seconds on one core: ./run.sh TARGET [SECONDS]
set -eu
cd "$(dirname "$0")"
target=$1
seconds=${2:-600}
mkdir -p "corpus/$target" "seeds/$target"
dictionary=
[ ! -f "dictionaries/$target.dict" ] || dictionary=-dict="dictionaries/$target.dict"
# Slow or large is a finding too: the limits promise less than 20 seconds (with the sanitizer) and 1 GiB.
exec cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 $dictionary
