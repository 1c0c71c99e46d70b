"""Runs a program on a real terminal and plays steps on it: argv[1] is a JSON list of steps, the rest is the program.

["expect", text]  waits until the terminal showed it      ["send", text]  types
["resize", columns, rows]                                 ["hangup"]      closes the terminal
Prints what the terminal showed and how the program ended, as JSON.
"""
import fcntl, json, os, pty, select, struct, sys, termios, time

steps, argv = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)


def resize(columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


resize(80, 24)
shown, seen, is_open, until = b"", 0, True, time.monotonic() + 40


def read():
    """False at the end."""
    global shown
    if not select.select([terminal], [], [], 0.1)[0]:
        return True
    try:
        data = os.read(terminal, 65536)
    except OSError:
        return False
    shown += data
    return data != b""


missing = None
for kind, *values in steps:
    if kind == "expect":
        wanted = values[0].encode()
        while wanted not in shown[seen:]:
            if not read() or time.monotonic() > until:
                missing = values[0]
                break
        if missing is not None:
            break
        seen = shown.index(wanted, seen) + len(wanted)
    elif kind == "send":
        os.write(terminal, values[0].encode())
    elif kind == "resize":
        resize(*values)
    elif kind == "hangup":
        os.close(terminal)
        is_open = False
if missing is not None:
    os.close(terminal)
    is_open = False
while is_open and read() and time.monotonic() < until:
    pass
_, status = os.waitpid(pid, 0)
print(json.dumps({"shown": shown.decode(errors="replace"), "code": os.waitstatus_to_exitcode(status), "missing": missing}))
