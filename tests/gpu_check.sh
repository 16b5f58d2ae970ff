#!/usr/bin/env bash
# Everything that needs a graphics card, in at most four minutes; results go to a folder (default: gpu_check).
#   tests/gpu_check.sh [FOLDER]
set -u
out=${1:-gpu_check}
mkdir -p "$out"
export PYTHONPATH=$PWD
step() { # seconds, name, command ...
  local seconds=$1 name=$2
  shift 2
  echo "== $name"
  timeout "$seconds" "$@" >"$out/$name.txt" 2>&1
  local code=$?
  [ $code -eq 0 ] || echo "   exit code $code"
  tail -n 12 "$out/$name.txt"
}
step 40 doctor python -m stylehead doctor --device cuda
step 60 tests python -m pytest -n0 -q -m gpu tests
step 45 parts python examples/full_scale_benchmark.py --json "$out/parts.json"
step 60 growth python examples/full_scale_benchmark.py --parts depth,\ small --iterations 100 --tiers 24 \
  --json "$out/growth.json"
step 35 tiers python examples/full_scale_benchmark.py --parts depth,\ small --iterations 5 --tiers 12 8 script \
  --json "$out/tiers.json"
