"""Says envelopes to a server directly and through Sekisho, and prints what came of both as JSON lines.

Arguments: port of the server, port of Sekisho, account, password. One path (for MAIL and for RCPT, in brackets) on each line of
standard input.
"""
import base64, json, socket, ssl, sys

direct_port, port, account, password = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]


class Client:
    def __init__(self, port, secure):
        self.stream = socket.create_connection(("127.0.0.1", port))
        self.stream.settimeout(60)
        if secure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.stream = context.wrap_socket(self.stream)
        self.reader = self.stream.makefile("rb")
        self.reply()
        self.say(b"EHLO judge.test")

    def reply(self):
        while True:
            line = self.reader.readline()
            assert line, "closed"
            if line[3:4] != b"-":
                return line.decode().strip()

    def say(self, line):
        self.stream.sendall(line + b"\r\n")
        return self.reply()


def attempt(client, path, name):
    options = b"" if path.isascii() else b" SMTPUTF8"
    said = [client.say(b"MAIL FROM:" + path + options)]
    if said[-1].startswith("250"):
        said.append(client.say(b"RCPT TO:" + path))
    if len(said) == 2 and said[-1].startswith("250"):
        client.say(b"DATA")
        header = b"From: %s\r\nSubject: %s\r\n" % (account.encode(), name.encode())
        said.append(client.say(header + b"\r\nx\r\n."))
    client.say(b"RSET")
    return said


def log_in():
    client = Client(port, True)
    secret = base64.b64encode(f"\0{account}\0{password}".encode())
    assert client.say(b"AUTH PLAIN " + secret).startswith("235")
    return client


# Too many errors end a session, so there are several.
through, errors = log_in(), 0
for number, path in enumerate(sys.stdin.buffer.read().split(b"\n")[:-1]):
    said = [attempt(Client(direct_port, False), path, f"direct-{number}-"), attempt(through, path, f"through-{number}-")]
    print(json.dumps(said))
    errors += len(said[1]) < 3
    if errors == 4:
        through, errors = log_in(), 0
