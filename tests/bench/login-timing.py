"""What `login-timing` is made of: the objects of a gateway, and a client that logs in and measures.

    login-timing.py objects FOLDER PORT REDIS COUNTERS SAMPLES HASH...
    login-timing.py measure PORT HTTP SAMPLES
"""
import base64
import json
import math
import random
import socket
import statistics
import sys
import time
import urllib.request

TARGET = "targetRefs: [{ group: sekisho.dev, kind: MailGateway, name: timing }]"
# Of all but those with the hash whose password nobody knows.
RIGHT = "correct horse"
SUSPENDED = 64
OPTED = 64


def objects(folder, port, redis, counters, samples, *hashes):
    """Accounts of which each kind of hash has as many, a guard that locks pairs of account and source alone, and clients from abroad."""
    names = [f"known{n}@example.jp" for n in range(int(samples))]
    names += [f"suspended{n}@example.jp" for n in range(SUSPENDED)] + ["locked@example.jp"]
    names += [f"opted{n}@example.jp" for n in range(OPTED)]
    with open(f"{folder}/accounts", "w", encoding="ascii") as file:
        for at, name in enumerate(names):
            print(f"{name}:{hashes[at % len(hashes)]}", file=file)
    decoys = ", ".join(f"decoy{n}@example.jp" for n in range(min(int(samples), 256)))
    counted = "{ type: Memory }" if counters == "Memory" else "{ type: Redis, secretRef: { name: redis } }"
    head = "apiVersion: sekisho.dev/v1alpha1\nkind:"
    text = f"""{head} MailGateway
metadata: {{ name: timing }}
spec:
  listeners: [{{ name: submission, port: {port}, tls: "Off", proxyProtocol: {{ mode: Required, from: [127.0.0.1/32] }} }}]
  authentication:
    requirement: Required
    mechanisms: [PLAIN]
    backends: [{{ type: AccountsFile, accountsFile: {{ path: {folder}/accounts }} }}]
  upstream: {{ endpoints: [{{ address: "127.0.0.1:9" }}], tls: "Off", clientIdentity: None }}
  counters: {counted}
  limits: {{ maxErrors: 1000, maxAuthAttempts: 100, tarpit: {{ mode: Never }} }}
---
{head} LoginGuard
metadata: {{ name: timing }}
spec:
  {TARGET}
  perAccount: {{ distinctPasswords: 1000, per: 1h, lock: 1h }}
  perAccountAndSource: {{ failures: 20, per: 1h, lock: 24h }}
  decoys: {{ accounts: [{decoys}], action: Points }}
---
{head} CountryRule
metadata: {{ name: own-choice }}
spec: {{ {TARGET}, from: {{ notCountries: [JP] }}, appliesTo: OptedIn, then: {{ login: Refuse }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: redis }}
stringData: {{ url: "redis://127.0.0.1:{redis}" }}
"""
    with open(f"{folder}/objects.yaml", "w", encoding="ascii") as file:
        file.write(text)


class Client:
    """One session, in the clear."""

    def __init__(self, port):
        self.wire = socket.create_connection(("127.0.0.1", port))
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.wire.makefile("rb")
        self.wire.sendall(b"PROXY TCP4 8.8.8.8 192.0.2.1 4000 587\r\n")
        self.reply()
        self.ask(b"EHLO client.example\r\n")

    def reply(self):
        while True:
            line = self.lines.readline()
            if line[3:4] != b"-":
                return line.decode().rstrip()

    def ask(self, octets):
        self.wire.sendall(octets)
        return self.reply()

    def log_in(self, account, password):
        """Milliseconds until the refusal, and the refusal without its id."""
        shown = base64.b64encode(f"\0{account}\0{password}".encode())
        began = time.perf_counter_ns()
        told = self.ask(b"AUTH PLAIN " + shown + b"\r\n")
        return (time.perf_counter_ns() - began) / 1e6, told.split(" [")[0]


def tell(http, method, account, what, body):
    url = f"http://127.0.0.1:{http}/v1/accounts/{account}/{what}?namespace=default"
    body = json.dumps({**body, "who": "bench", "why": "bench"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    urllib.request.urlopen(request).close()


def rank_test(one, other):
    """How many standard deviations the rank sum of two samples is from that of two alike (Mann and Whitney)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
    n, m = len(one), len(other)
    deviation = math.sqrt(n * m * (n + m + 1) / 12)
    return (ranks - n * (n + m + 1) / 2) / deviation


def measure(port, http, samples):
    port, http, samples = int(port), int(http), int(samples)
    for n in range(SUSPENDED):
        tell(http, "POST", f"suspended{n}@example.jp", "restrictions", {"level": "Suspend", "for": 3_600_000})
    for n in range(OPTED):
        tell(http, "PUT", f"opted{n}@example.jp", "settings", {"settings": {"loginsFromAbroad": "Refuse"}})
    client = Client(port)
    for n in range(20):
        for account in ("locked@example.jp", "lockedtoo@example.jp"):
            client.log_in(account, f"wrong{n}")
    cases = {
        "unknown": lambda n: f"hidden{n}@example.jp",
        "known": lambda n: f"known{n}@example.jp",
        "decoy": lambda n: f"decoy{n % 256}@example.jp",
        "suspended": lambda n: f"suspended{n % SUSPENDED}@example.jp",
        "opted in": lambda n: f"opted{n % OPTED}@example.jp",
        "opted in, right": lambda n: f"opted{n % OPTED}@example.jp",
        "locked": lambda n: "locked@example.jp",
        "locked, unknown": lambda n: "lockedtoo@example.jp",
    }
    chance = random.Random(1)
    took, told = {case: [] for case in cases}, {case: set() for case in cases}
    for n in range(samples):
        if n % 12 == 0:
            client = Client(port)
        order = list(cases)
        # What comes behind a short answer finds everything awake: each is behind each other one as chance has it.
        chance.shuffle(order)
        for case in order:
            span, words = client.log_in(cases[case](n), RIGHT if case.endswith("right") else "no such password")
            took[case].append(span)
            told[case].add(words)
    replies = {words for case in cases for words in told[case] if not case.startswith("locked")}
    locked = told["locked"] | told["locked, unknown"]
    assert len(replies) == 1 and len(locked) == 1, (replies, locked)
    fine = True
    for case, spans in took.items():
        like = "locked" if case.startswith("locked") else "known"
        against, own = statistics.median(took[like]), statistics.median(spans)
        quarters = statistics.quantiles(spans, n=4)
        score = rank_test(spans, took[like])
        line = f"  {case:16} median {own:8.3f} ms, half of all {quarters[0]:.3f} to {quarters[2]:.3f}"
        if case != like:
            apart = 100 * (own / against - 1)
            line += f"; to '{like}' {apart:+.1f} %, rank test {score:+.1f} standard deviations"
            # By chance alone four come once in 16,000 runs.
            fine &= abs(score) < 4
        print(line)
    return fine


if __name__ == "__main__":
    if sys.argv[1] == "objects":
        objects(*sys.argv[2:])
    elif not measure(*sys.argv[2:]):
        sys.exit("login-timing: the time tells accounts apart")
