"""Clients that send a large message each, all at once and slowly: trickle.py PORT CLIENTS MIB SECONDS."""

import asyncio
import collections
import sys

port, clients, mib, seconds = (int(argument) for argument in sys.argv[1:])
LINE = b"x" * 998 + b"\r\n"
STEPS = 100


async def ask(reader, writer, command):
    if command:
        writer.write(command + b"\r\n")
        await writer.drain()
    while True:
        line = await reader.readline()
        if not line or line[3:4] != b"-":
            return line.decode().strip().partition(" [")[0] or "closed"


async def client(number, outcomes):
    # An address of its own for each: what one client may keep is limited.
    own = f"127.1.{number // 250 % 250}.{number % 250 + 1}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(own, 0))
    try:
        for command, wanted in [
            (b"", "220"),
            (b"EHLO bench.example", "250"),
            (b"MAIL FROM:<bench@example.jp>", "250"),
            (b"RCPT TO:<someone@example.net>", "250"),
            (b"DATA", "354"),
        ]:
            reply = await ask(reader, writer, command)
            if not reply.startswith(wanted):
                outcomes[f"{command[:4].decode() or 'greeting'} {reply}"] += 1
                return
        writer.write(b"From: bench@example.jp\r\nSubject: trickle %d\r\n\r\n" % number)
        for _ in range(STEPS):
            writer.write(LINE * (mib * 1048576 // STEPS // len(LINE)))
            await writer.drain()
            await asyncio.sleep(seconds / STEPS)
        outcomes[f"end {await ask(reader, writer, b'.')}"] += 1
    except OSError as error:
        outcomes[type(error).__name__] += 1
    finally:
        writer.close()


async def main():
    outcomes = collections.Counter()
    await asyncio.gather(*(client(number, outcomes) for number in range(clients)))
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))


asyncio.run(main())
