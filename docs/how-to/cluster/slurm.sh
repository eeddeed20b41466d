#!/bin/bash
# Load from four nodes of a Slurm cluster: sbatch slurm.sh. Every node has the harness in $HARNESS, and this directory.
#SBATCH --job-name=harness-load
#SBATCH --nodes=5
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=00:30:00
set -euo pipefail
umask 077
export PATH="${HARNESS:-/opt/harness}/bin:$PATH"
openssl req -x509 -newkey rsa:3072 -nodes -days 2 -subj /CN=harness-cluster -keyout key.pem -out cert.pem
tls=(--tls-ca-file cert.pem --tls-cert cert.pem --tls-key key.pem)
export DASK_DISTRIBUTED__COMM__TLS__CA_FILE=cert.pem
export DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT=cert.pem DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY=key.pem
here=$(hostname -I | cut -d ' ' -f 1)
dask scheduler --protocol tls --host "$here" --port 8786 --no-dashboard "${tls[@]}" &
scheduler=$!
trap 'kill "$scheduler"' EXIT
# The first node is the coordinator's: its processor is for reading what the others send.
srun --nodes=4 --ntasks=4 --exclude="$(hostname -s)" \
    dask worker "tls://$here:8786" --no-nanny --nthreads 4 --no-dashboard --memory-limit 0 "${tls[@]}" &
harness run performance.toml --workers "tls://$here:8786/4"
