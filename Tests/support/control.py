"""Asks a running godwit something through its control socket: control.py SOCKET COMMAND...

Prints the answer; exits with 1 if it is an error.
"""

import socket
import sys


def ask(path: str, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(command.encode() + b"\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode()


if __name__ == "__main__":
    text = ask(sys.argv[1], " ".join(sys.argv[2:]))
    sys.stdout.write(text)
    sys.exit(1 if text.startswith("error") else 0)
