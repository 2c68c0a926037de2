"""Sends messages over one session as a list of envelopes says, and prints what each step was answered.

Arguments: port, source address, tls (implicit, starttls), user, password. The list is JSON on standard input, of
{"from", "options", "recipients": [[address, [option...]]...], "path"}.
The first line printed has the offered extensions, each further one the replies to an envelope, in JSON."""
import json, smtplib, ssl, sys

port, source, tls, user, password = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
if tls == "implicit":
    client = smtplib.SMTP_SSL("127.0.0.1", int(port), source_address=(source, 0), context=context)
else:
    client = smtplib.SMTP("127.0.0.1", int(port), source_address=(source, 0))
    client.starttls(context=context)
client.login(user, password)
print(json.dumps(sorted(client.esmtp_features)))


def said(reply):
    return f"{reply[0]} {reply[1].decode()}"


for envelope in json.load(sys.stdin):
    if "SMTPUTF8" in envelope["options"]:
        client.command_encoding = "utf-8"
    replies = [said(client.mail(envelope["from"], envelope["options"]))]
    for address, options in envelope["recipients"]:
        replies.append(said(client.rcpt(address, options)))
    if any(reply.startswith("250") for reply in replies[1:]):
        replies.append(said(client.data(open(envelope["path"], "rb").read())))
    else:
        client.rset()
    print(json.dumps(replies))
client.quit()
