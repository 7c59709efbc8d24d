#!/usr/bin/env bash
# One SLURM allocation: a Dask scheduler, a worker a processor, and the command that hands the work out.
# Submit from the folder that holds sweep.toml:  sbatch slurm_dask.sh
# When time runs out, submit it again: what has been computed is not computed again.
#SBATCH --job-name=fastmfg
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=32
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@60
set -euo pipefail

source "$HOME/fastmfg/.venv/bin/activate"   # the environment: pip install "fastmfg[cluster]", seen by all nodes
out="$PWD/sweep-out"                        # only this script's process writes there
scheduler="$PWD/scheduler-$SLURM_JOB_ID.json"

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1   # a worker is one thread, in NumPy too
export FASTMFG_NUM_THREADS=1
export MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=33554432   # Dask's own setting costs a fifth of the speed
export NUMBA_CACHE_DIR="$HOME/.cache/fastmfg-numba"   # compiled code, for all workers
# export NUMBA_CPU_NAME=generic                       # where nodes have processors of different kinds

# Compile once, here, before hundreds of processes want to.
fastmfg warm-up

dask scheduler --scheduler-file "$scheduler" --port 0 --no-dashboard &
trap 'kill $(jobs -p) 2>/dev/null || true; rm -f "$scheduler"' EXIT
until [ -s "$scheduler" ]; do kill -0 $!; sleep 1; done   # it writes the file when it is ready

srun --ntasks="$SLURM_NTASKS" --cpus-per-task=1 --kill-on-bad-exit=0 \
    dask worker --scheduler-file "$scheduler" --nthreads 1 --no-dashboard --local-directory "${TMPDIR:-/tmp}" \
    --preload fastmfg.cluster --death-timeout 120 &

fastmfg sweep sweep.toml --scheduler-file "$scheduler" --out "$out" &
sweep=$!
trap 'kill -USR1 $sweep 2>/dev/null || true' USR1   # a minute before time is up: end in good order
wait $sweep || wait $sweep
