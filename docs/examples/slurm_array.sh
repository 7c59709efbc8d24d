#!/usr/bin/env bash
# A job array without any scheduler of ours: each job computes every hundredth task of the sweep.
# Submit from the folder that holds sweep.toml:  sbatch slurm_array.sh
# Jobs that were cut short, or whose node died: submit the same again. The job that finds all tasks done makes the table;
# `fastmfg sweep sweep.toml --out sweep-out` makes it too, and computes what is missing.
#SBATCH --job-name=fastmfg
#SBATCH --array=0-99
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
set -euo pipefail

source "$HOME/fastmfg/.venv/bin/activate"   # the environment, seen by all nodes

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export NUMBA_CACHE_DIR="$HOME/.cache/fastmfg-numba"   # compiled code, for all jobs: the first ones write it
# export NUMBA_CPU_NAME=generic                       # where nodes have processors of different kinds

fastmfg sweep sweep.toml --out "$PWD/sweep-out" --workers "$SLURM_CPUS_PER_TASK" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
