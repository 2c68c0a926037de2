"""Signs messages and sends them through Sekisho (`send`), or looks at the signatures of messages in files (`verify`).

send: port, account, password, recipient, private key. Prints how many were sent.
verify: public key (PEM without its frame), files. Prints one line for each: its Subject, and `good` or `bad`.
"""
import itertools, smtplib, ssl, sys

import dkim

BODIES = {
    "plain": b"Hello.\r\n",
    "dots": b".\r\n..\r\n.hidden\r\n. .\r\nend\r\n",
    "blank at the end": b"text\r\n\r\n\r\n\r\n",
    "blanks in lines": b"one  two\t three \r\n \r\n\t\r\n",
    "no body": b"",
    "long lines": b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n",
    "eight bits": "東京\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n",
    "large": b"0123456789abcdef\r\n" * 20000,
    "parts": b"--b\r\nContent-Type: application/octet-stream; name=\"a.bin\"\r\n\r\n\r\n.\r\n--b--\r\nafter\r\n",
}
# Fields that somebody could be tempted to touch, each in two forms, folded and with strange blanks.
FIELDS = [
    b"From: =?utf-8?B?5aSq6YOO?= <%s>\r\n",
    b"To:  hanako@example.net ,\r\n\tTaro  <taro@example.net>\r\n",
    b"DATE: Tue, 20 Oct 2026 09:00:00 +0900\r\n",
    b"message-id:<1@example.jp>\r\n",
    b"Content-Type: multipart/mixed;\r\n boundary=b\r\n",
    b"MIME-Version: 1.0\r\n",
]


def send(port, account, password, recipient, key):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    private = open(key, "rb").read()
    sent = 0
    with smtplib.SMTP_SSL("127.0.0.1", int(port), context=context, timeout=60) as client:
        client.login(account, password)
        ways = itertools.product(BODIES.items(), [b"simple", b"relaxed"], ["none", "signed", "not signed"], ["DATA", "BDAT"])
        for (name, body), form, bcc, verb in ways:
            fields = b"".join(FIELDS) % account.encode()
            fields += f"Subject: {name}, {form.decode()}, Bcc {bcc}, {verb}\r\n".encode()
            signed = [b"from", b"to", b"date", b"message-id", b"subject", b"content-type", b"mime-version"]
            if bcc != "none":
                fields += b"Bcc: secret@example.net\r\n"
            if bcc == "signed":
                signed.append(b"bcc")
            message = fields + b"\r\n" + body
            signer = dkim.DKIM(message)
            # It advises against Bcc, as RFC 6376 5.4.1 does; others sign it all the same.
            signer.should_not_sign = signer.should_not_sign - {b"bcc"}
            signature = signer.sign(b"s", b"example.jp", private, canonicalize=(form, form), include_headers=signed)
            transmit(client, verb, account, recipient, signature + message)
            sent += 1
    print(sent)


def transmit(client, verb, account, recipient, message):
    if verb == "DATA":
        return client.sendmail(account, [recipient], message)
    for command in [f"MAIL FROM:<{account}>", f"RCPT TO:<{recipient}>"]:
        said = client.docmd(command)
        assert said[0] == 250, said
    middle = len(message) // 2
    for chunk, last in [(message[:middle], ""), (message[middle:], " LAST")]:
        client.send(f"BDAT {len(chunk)}{last}\r\n")
        client.send(chunk)
        said = client.getreply()
        assert said[0] == 250, said


def verify(public, *paths):
    record = f"v=DKIM1; k=rsa; p={public}".encode()
    for path in paths:
        message = open(path, "rb").read()
        subject = next(line for line in message.split(b"\r\n") if line.startswith(b"Subject: "))
        good = dkim.verify(message, dnsfunc=lambda name, timeout=5: record)
        print(subject.decode()[9:], "good" if good else "bad", sep=": ")


{"send": send, "verify": verify}[sys.argv[1]](*sys.argv[2:])
