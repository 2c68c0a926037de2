# Shared by the benches: free ports, child processes that end with us, medians.
set -euo pipefail

work=$(mktemp -d /tmp/sekisho-bench.XXXXXX)
children=()
cleanup() {
    [ -d "$work/postfix" ] && postfix -c "$work/postfix" stop >/dev/null 2>&1 || true
    for pid in "${children[@]:-}"; do [ -n "$pid" ] && kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until something listens on a loopback port, at most 20 seconds.
await_port() {
    python3 - "$1" <<'PY'
import socket, sys, time
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        sys.exit(0)
    except OSError:
        time.sleep(0.05)
sys.exit(f"nothing listens on 127.0.0.1:{sys.argv[1]} after 20 s")
PY
}

# Runs a command and prints its wall seconds.
wall() {
    local start end
    start=$(date +%s.%N)
    "$@" >/dev/null
    end=$(date +%s.%N)
    echo "$start $end" | awk '{ printf "%.4f\n", $2 - $1 }'
}

# The median of the numbers on standard input.
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

need() {
    command -v "$1" >/dev/null || { echo "bench: $1 is missing; 'make setup' installs it (Debian package $2)" >&2; exit 2; }
}

# Milliseconds of CPU that a process has used.
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) * 1000 / hz }' "/proc/$1/stat"; }

# The value of KEY in the `key=value` pairs on standard input.
field() { tr ' ' '\n' | sed -n "s/^$1=//p"; }
