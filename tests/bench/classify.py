#!/usr/bin/env python3
"""What becomes of the SpamAssassin corpus behind real content engines, and what the way through Sekisho adds to
rspamd's own time. Called by `classify`.

Each message is sent with the sender and the recipient of the bench, over loopback, by --workers processes; classes are
read from the metrics, refusals from the replies."""
import argparse, multiprocessing, os, re, socket, subprocess, sys, time, urllib.request

GROUPS = [("honest (easy)", ["easy-ham-1", "easy-ham-2"]), ("honest (hard)", ["hard-ham-1"]), ("spam", ["spam-1", "spam-2"])]


def corpus(folder, every):
    groups = []
    for name, folders in GROUPS:
        paths = sorted(os.path.join(folder, f, p) for f in folders for p in os.listdir(os.path.join(folder, f)) if p.endswith(".txt"))
        groups.append((name, [read(path) for path in paths[::every]]))
    return groups


def read(path):
    text = open(path, "rb").read()
    if text.startswith(b"From "):
        text = text[text.index(b"\n") + 1:]
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def stuffed(message):
    """The message as it is after DATA, without the final dot."""
    body = re.sub(rb"(?m)^\.", b"..", message)
    return body if body.endswith(b"\r\n") else body + b"\r\n"


class Lines:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise SystemExit("the connection was closed")
            if line[3:4] != b"-":
                return line


def send_smtp(work):
    """Sends messages one after the other over one session; answers with the reply codes."""
    port, messages = work
    codes, wire = [], Lines(port)
    wire.reply()
    wire.socket.sendall(b"EHLO bench.example.jp\r\n")
    wire.reply()
    for body in messages:
        wire.socket.sendall(b"MAIL FROM:<bench@example.jp>\r\nRCPT TO:<someone@example.net>\r\nDATA\r\n")
        for _ in range(3):
            code = wire.reply()
        if code[:3] == b"354":
            wire.socket.sendall(body + b".\r\n")
            code = wire.reply()
        else:
            wire.socket.sendall(b"RSET\r\n")
            wire.reply()
        codes.append(int(code[:3]))
    return codes


def send_rspamd(work):
    """Asks rspamd about messages one after the other, as the proxy does; rspamd closes the connection after each answer."""
    port, messages = work
    for message in messages:
        wire = Lines(port)
        head = (f"POST /checkv2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(message)}\r\nIP: 127.0.0.1\r\n"
                "Helo: bench.example.jp\r\nFrom: bench@example.jp\r\nRcpt: someone@example.net\r\n\r\n")
        wire.socket.sendall(head.encode() + message)
        length = 0
        while (line := wire.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        wire.file.read(length)
        wire.socket.close()
    return []


def spread(function, port, messages, workers):
    parts = [(port, messages[n::workers]) for n in range(workers)]
    begin = time.monotonic()
    with multiprocessing.Pool(workers) as pool:
        answers = pool.map(function, parts, 1)
    return time.monotonic() - begin, [code for part in answers for code in part]


def metrics(port, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    found = {}
    for labels, value in re.findall(rf"^{name}{{([^}}]*)}} (\S+)$", text, re.M):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        key = (labels.get("pool", "").split("/")[-1] or "upstream", labels.get("class", ""))
        found[key] = found.get(key, 0) + float(value)
    return found


class Sekisho:
    def __init__(self, args, name, engines):
        self.smtp, self.http = free_port(), free_port()
        self.folder = os.path.join(args.work, name)
        os.makedirs(self.folder)
        template = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "classify.yaml.in")).read()
        for mark, value in {"@LISTEN@": self.smtp, "@SINK@": args.sink, "@ENGINES@": "[" + ", ".join(engines) + "]"}.items():
            template = template.replace(mark, str(value))
        if not engines:
            template = template.replace("    engines: []\n", "")
        with open(os.path.join(self.folder, "objects.yaml"), "w") as file:
            file.write(template)
        log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen([args.sekisho, "up", os.path.join(self.folder, "objects.yaml"), "--state", os.path.join(self.folder, "state"),
                                         "--http", f"127.0.0.1:{self.http}", "--log", "warn"], stdout=log, stderr=log)
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.smtp), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    sys.exit(open(log.name).read())
                time.sleep(0.05)

    def end(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def confusion(args, title, engines, every):
    gate = Sekisho(args, re.sub(r"\W", "-", title), engines)
    groups = corpus(args.corpus, every)
    count = sum(len(messages) for _, messages in groups)
    print(f"{title}, {count} messages" + ("" if every == 1 else f" (every {every}th)"))
    print(f"  {'':16}{'clean':>9}{'suspect':>9}{'spam':>9}{'refused':>9}{'deferred':>9}    by pool")
    took = 0.0
    try:
        for name, messages in groups:
            before = metrics(gate.http, "sekisho_messages_total")
            seconds, codes = spread(send_smtp, gate.smtp, [stuffed(message) for message in messages], args.workers)
            took += seconds
            after = metrics(gate.http, "sekisho_messages_total")
            came = {key: int(value - before.get(key, 0)) for key, value in after.items() if value > before.get(key, 0)}
            by = lambda wanted: sum(n for (_, kind), n in came.items() if kind == wanted)
            pools = {}
            for (pool, _), n in came.items():
                pools[pool] = pools.get(pool, 0) + n
            refused, deferred = sum(code >= 500 for code in codes), sum(400 <= code < 500 for code in codes)
            print(f"  {name:16}{by('clean'):9}{by('suspect'):9}{by('spam'):9}{refused:9}{deferred:9}    "
                  + ", ".join(f"{pool} {n}" for pool, n in sorted(pools.items())))
    finally:
        gate.end()
    print(f"  {count / took:.0f} messages a second")


def overhead(args):
    messages = [message for _, group in corpus(args.corpus, args.overhead_every) for message in group]
    engine = f'{{ type: Rspamd, url: "http://127.0.0.1:{args.rspamd}", timeout: 30s, concurrency: 200, suspectAt: 6, spamAt: 12 }}'
    gate = Sekisho(args, "overhead", [engine])
    try:
        alone, through = [], []
        for _ in range(args.rounds):
            alone.append(spread(send_rspamd, args.rspamd, messages, args.workers)[0])
            # The proxy remembers verdicts: each round is another sender's.
            marked = [stuffed(b"X-Round: %d\r\n" % len(through) + message) for message in messages]
            through.append(spread(send_smtp, gate.smtp, marked, args.workers)[0])
    finally:
        gate.end()
    middle = lambda values: sorted(values)[len(values) // 2]
    added = (middle(through) / middle(alone) - 1) * 100
    print(f"rspamd alone {len(messages) / middle(alone):.0f} messages a second, through Sekisho {len(messages) / middle(through):.0f}: "
          f"{added:+.1f} % time (aim: 10 or less, {'met' if added <= 10 else 'missed'}; {args.workers} connections, median of {args.rounds} interleaved rounds; "
          "clients and proxy share the cores with rspamd)")


def start_engines():
    """rspamd and spamd as the tests run them: with their own rules, without network, Bayes and other memory."""
    command = ["cargo", "run", "--locked", "--quiet", "-p", "sekisho-testkit", "--example", "engines", "--", str(os.cpu_count())]
    engines = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    engines.ports = {}
    for line in engines.stdout:
        if line.strip() == "ready":
            break
        name, address = line.split()
        engines.ports[name] = int(address.rsplit(":", 1)[1])
    if len(engines.ports) < 2:
        sys.exit("bench: rspamd or spamd is missing; 'make setup' installs them (Debian packages rspamd and spamd)")
    return engines


def main():
    parser = argparse.ArgumentParser()
    for name in ["sekisho", "corpus", "work"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--sink", type=int, required=True)
    parser.add_argument("--workers", type=int, default=4 * os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spamd-every", type=int, default=10)
    parser.add_argument("--overhead-every", type=int, default=5)
    args = parser.parse_args()
    engines = start_engines()
    args.rspamd, args.spamd = engines.ports["rspamd"], engines.ports["spamd"]
    rspamd = f'{{ type: Rspamd, url: "http://127.0.0.1:{args.rspamd}", timeout: 10s, suspectAt: 4, spamAt: 8 }}'
    spamd = f'{{ type: Spamd, url: "tcp://127.0.0.1:{args.spamd}", timeout: 50s, suspectAt: 3, spamAt: 5 }}'
    confusion(args, "the policy's own rules", [], 1)
    confusion(args, "rspamd (suspectAt 4, spamAt 8) and own rules", [rspamd], 1)
    confusion(args, "spamd (suspectAt 3, spamAt 5) and own rules", [spamd], args.spamd_every)
    confusion(args, "both engines and own rules", [rspamd, spamd], args.spamd_every)
    overhead(args)
    engines.stdin.close()
    engines.wait()


main()
