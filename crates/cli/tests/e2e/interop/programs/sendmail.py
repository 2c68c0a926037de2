"""Sends one message with Python's smtplib. Arguments as for every program here: see programs.rs."""
import smtplib, ssl, sys

port, tls, mechanism, user, password, sender, path, *recipients = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
if tls == "implicit":
    client = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context)
else:
    client = smtplib.SMTP("127.0.0.1", int(port))
    client.starttls(context=context)
client.ehlo()
client.user, client.password = user, password
client.auth(mechanism, getattr(client, "auth_" + mechanism.lower().replace("-", "_")))
message = open(path, "rb").read()
options = ["BODY=8BITMIME"] if any(octet > 127 for octet in message) else []
print(client.sendmail(sender, recipients, message, options))
client.quit()
