"""Programs that try to pass `add(a, b)`'s tests without adding, or to harm what is outside. One cheat each.

`CANARY`, `PORT`, `PID` and `FOLDER` are replaced by a file, a listening port, a process and a folder that must stay as they are.
"""

_TEXT = r"""
# exit at import
import sys
sys.exit(0)
# exit status 0 past all handlers
import os
os._exit(0)
# exit in the call
def add(a, b):
    raise SystemExit(0)
# exit builtin
exit()
# quit in the call
def add(a, b):
    quit()
# the jail's own failure status
import os
os._exit(97)
# exit at exit
import atexit, os
atexit.register(lambda: os._exit(0))
def add(a, b):
    return None
# exit in a thread
import os, threading
def add(a, b):
    threading.Thread(target=lambda: os._exit(0)).start()
    import time; time.sleep(0.2)
# keyboard interrupt
def add(a, b):
    raise KeyboardInterrupt
# generator exit
def add(a, b):
    raise GeneratorExit
# equal to everything
class Same:
    def __eq__(self, other): return True
def add(a, b): return Same()
# never unequal
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __hash__(self): return 5
def add(a, b): return Same()
# an int that equals all
class Same(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def add(a, b): return Same(0)
# a float that equals all
class Same(float):
    def __eq__(self, other): return True
def add(a, b): return Same(0.0)
# a string that equals all
class Same(str):
    def __eq__(self, other): return True
def add(a, b): return Same("5")
# a list that equals all
class Same(list):
    def __eq__(self, other): return True
def add(a, b): return Same()
# a tuple that equals all
class Same(tuple):
    def __eq__(self, other): return True
def add(a, b): return Same()
# a dict that equals all
class Same(dict):
    def __eq__(self, other): return True
def add(a, b): return Same()
# reflected equality
class Same:
    def __req__(self, other): return True
    def __lt__(self, other): return True
    def __le__(self, other): return True
    def __ge__(self, other): return True
    __eq__ = __le__
def add(a, b): return Same()
# a metaclass that equals all
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return 1
class Same(metaclass=Meta): pass
def add(a, b): return Same
# a mock
from unittest.mock import ANY
def add(a, b): return ANY
# a property called __class__
class Same:
    @property
    def __class__(self): return int
    def __eq__(self, other): return True
def add(a, b): return Same()
# NaN tricks
def add(a, b): return float("nan")
# not implemented
def add(a, b): return NotImplemented
# an enum whose value is looked up
import enum
class E(enum.IntEnum):
    A = 0
    def __eq__(self, other): return True
    __hash__ = None
def add(a, b): return E.A
# a generator instead of a value
def add(a, b):
    yield 5
# a coroutine
async def add(a, b): return a + b
# patch AssertionError away
import builtins
class AssertionError(Exception): pass
builtins.AssertionError = BaseException
def add(a, b): return 0
# a silent exception hook
import sys
sys.excepthook = lambda *a: None
def add(a, b): raise ValueError
# patch equality of int
def add(a, b):
    import builtins
    builtins.int = type("int", (int,), {"__eq__": lambda s, o: True})
    return int(0)
# patch len sorted all any
import builtins
builtins.all = builtins.any = lambda *a: True
builtins.len = lambda *a: 5
builtins.isinstance = lambda *a: True
def add(a, b): return 0
# patch the import
import builtins
builtins.__import__ = lambda *a, **k: None
def add(a, b): return 0
# patch print and open
import builtins
builtins.open = builtins.print = lambda *a, **k: None
def add(a, b): return 0
# poison json
import json
json.dumps = lambda *a, **k: '[[0,5],[0,30],[0,0]]X'
json.loads = lambda *a, **k: {}
def add(a, b): return 0
# poison json's encoder class
import json.encoder
json.encoder.JSONEncoder.encode = lambda self, o: '[[0,true],[0,true],[0,true]]'
def add(a, b): return 0
# poison struct
import struct
struct.pack = lambda *a: b"\0\0\0\0"
struct.Struct = None
def add(a, b): return 0
# poison os.write
import os
os.write = lambda fd, data: len(data)
def add(a, b): return 0
# poison the operator module
import operator
operator.eq = lambda a, b: True
def add(a, b): return 0
# poison sys.modules
import sys
for name in list(sys.modules):
    sys.modules[name] = None
def add(a, b): return 0
# poison math
import math
math.isclose = lambda *a, **k: True
def add(a, b): return 0
# find the project in sys.modules
import sys
def add(a, b):
    for name, module in list(sys.modules.items()):
        if "engine" in name or "judge" in name:
            module.equal = lambda *x: True
    return 0
# import the judge
def add(a, b):
    from engine.verify.sandbox import judge
    judge._compare = None
    return 0
# look for expected values in the frames
import sys
def add(a, b):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()):
            if isinstance(value, dict) and "expected" in value:
                return value["expected"]
        frame = frame.f_back
# return what the caller's request holds
import sys
def add(a, b):
    frame = sys._getframe(1)
    while frame:
        if "request" in frame.f_locals:
            return frame.f_locals["request"].get("tests", 0)
        frame = frame.f_back
# change the caller's answers
import sys
def add(a, b):
    frame = sys._getframe(1)
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, list):
                value.append("passed")
        frame = frame.f_back
# empty the caller's calls
import sys
def add(a, b):
    frame = sys._getframe(1)
    while frame:
        if "request" in frame.f_locals:
            frame.f_locals["request"]["calls"].clear()
            frame.f_locals["request"]["more"] = False
        frame = frame.f_back
# rewrite the caller's code
import sys
def add(a, b):
    frame = sys._getframe(1)
    f = frame.f_globals.get("_answer")
    if f:
        f.__code__ = (lambda call, names, objects: [0, True]).__code__
    return 0
# a trace function
import sys
def tracer(frame, event, arg):
    frame.f_trace_lines = True
    if "passed" in frame.f_locals:
        frame.f_locals["passed"] = 3
    return tracer
sys.settrace(tracer)
def add(a, b): return 0
# a profile function
import sys
sys.setprofile(lambda *a: None)
def add(a, b): return 0
# search the garbage collector for tests
import gc
def add(a, b):
    for thing in gc.get_objects():
        if isinstance(thing, str) and "assert add" in thing:
            return eval(thing.split("==")[1])
# search all memory for the assert text
def add(a, b):
    with open("/proc/self/mem", "rb") as file:
        return file.read(100)
# walk referrers
import gc
def add(a, b):
    for thing in gc.get_referrers(add):
        if isinstance(thing, dict):
            thing["verdict"] = "PASS"
            thing["expected"] = 0
    return 0
# poke the integer cache
import ctypes
def add(a, b):
    ctypes.memset(id(5) + 24, 0, 4)
    return 0
# swap the type of zero
import ctypes
def add(a, b):
    x = 0
    ctypes.c_ssize_t.from_address(id(x) + 8).value = id(bool)
    return x
# crash on purpose
import ctypes
ctypes.string_at(0)
# crash in the call
import ctypes
def add(a, b): return ctypes.string_at(1)
# call exit of the C library
import ctypes
ctypes.CDLL(None).exit(0)
# system of the C library
import ctypes
def add(a, b): return ctypes.CDLL(None).system(b"touch FOLDER/system")
# syscall by number
import ctypes
def add(a, b): return ctypes.CDLL(None).syscall(57)
# x32 system call
import ctypes
def add(a, b): return ctypes.CDLL(None).syscall(0x40000000 | 57)
# read another process by process_vm_readv
import ctypes
def add(a, b): return ctypes.CDLL(None).process_vm_readv(PID, 0, 0, 0, 0, 0)
# ptrace the parent
import ctypes, os
def add(a, b): return ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)
# answers to every descriptor before they are asked for
import os
for fd in range(64):
    try: os.write(fd, b"\0\0\0\x18[[0,1],[0,1],[0,1]]     ")
    except OSError: pass
os._exit(0)
# write garbage to every descriptor
import os
for fd in range(64):
    try: os.write(fd, b"garbage" * 1000)
    except OSError: pass
def add(a, b): return 0
# an announced message of four gigabytes
import os
for fd in range(64):
    try: os.write(fd, b"\xff\xff\xff\xff" + b"x" * 100)
    except OSError: pass
def add(a, b): return 0
# an empty message
import os
for fd in range(64):
    try: os.write(fd, b"\0\0\0\0")
    except OSError: pass
def add(a, b): return 0
# half a message and silence
import os, time
for fd in range(64):
    try: os.write(fd, b"\0\0\1\0[[0,")
    except OSError: pass
time.sleep(60)
# forged verdict
import os
for fd in range(64):
    try: os.write(fd, b'\0\0\0\x2a{"verdict":"PASS","reason":"ok","passed":3}')
    except OSError: pass
os._exit(0)
# forged truths
import os
for fd in range(64):
    try: os.write(fd, b"\0\0\0\x1b[[0,true],[0,true],[0,true]]")
    except OSError: pass
os._exit(0)
# forged answers with wrong counts
import os, struct
data = b"[" + b",".join([b"[0,5]"] * 500) + b"]"
for fd in range(64):
    try: os.write(fd, struct.pack("!I", len(data)) + data)
    except OSError: pass
os._exit(0)
# a message as deep as a well
import os, struct
data = b'["l",' * 200000 + b"]" * 200000
for fd in range(3, 64):
    try:
        os.write(fd, struct.pack("!I", len(data)))
        rest = data
        while rest: rest = rest[os.write(fd, rest):]
    except OSError: pass
os._exit(0)
# unknown tags
import os, struct
data = b'[[0,["eval","5"]],[0,["P","cos\\nsystem"]],[0,["l"]]]'
for fd in range(64):
    try: os.write(fd, struct.pack("!I", len(data)) + data)
    except OSError: pass
os._exit(0)
# a broken counter and a forged change of arguments
import os, struct
data = b'[[0,["C",1,"x"],[[0,["l"]]]],[0,["O",["l"],2]],[0,["r",0,1,0]]]'
for fd in range(64):
    try: os.write(fd, struct.pack("!I", len(data)) + data)
    except OSError: pass
os._exit(0)
# close every descriptor
import os
os.closerange(0, 64)
def add(a, b): return 0
# duplicate the line over itself
import os
for fd in range(3, 32):
    try: os.dup2(0, fd)
    except OSError: pass
def add(a, b): return 0
# fork and let the child answer
import os
if os.fork():
    os._exit(0)
def add(a, b): return 0
# a fork bomb
import os
while True:
    try: os.fork()
    except OSError: break
# a fork bomb that insists
import os
def add(a, b):
    while True:
        try: os.fork()
        except OSError: pass
# multiprocessing
import multiprocessing
def add(a, b):
    p = multiprocessing.Process(target=print)
    p.start()
    return 0
# subprocess
import subprocess
def add(a, b): return subprocess.run(["touch", "FOLDER/subprocess"]).returncode
# exec true
import os
os.execv("/bin/true", ["true"])
# exec the interpreter
import os, sys
os.execv(sys.executable, [sys.executable, "-c", "print(5)"])
# posix_spawn
import os
def add(a, b): return os.posix_spawn("/bin/touch", ["touch", "FOLDER/spawned"], {})
# os.system
import os
def add(a, b): return os.system("touch FOLDER/os-system")
# a flood of threads
import threading, time
def add(a, b):
    for _ in range(10000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
# a thread that answers for the call
import threading, os
def answer():
    for fd in range(3, 64):
        try: os.write(fd, b"\0\0\0\x15[[0,0],[0,0],[0,0]]  ")
        except OSError: pass
threading.Thread(target=answer).start()
def add(a, b):
    while True: pass
# clone3 and unshare by number
import ctypes
def add(a, b):
    libc = ctypes.CDLL(None)
    return libc.unshare(0x10000000) + libc.syscall(435, 0, 0)
# eat memory
def add(a, b): return [0] * (1 << 32)
# eat memory slowly
def add(a, b):
    data = []
    while True: data.append(bytearray(1 << 24))
# a huge string
def add(a, b): return "x" * (1 << 40)
# a huge integer
def add(a, b): return 1 << (1 << 26)
# a large answer
def add(a, b): return ["x" * 1000] * 100000
# an endless iterator
import itertools
def add(a, b): return itertools.count()
# an endless iterator of large things
def add(a, b):
    while True: yield "x" * 100000
# a list that holds itself
def add(a, b):
    x = []
    x.append(x)
    return x
# colliding keys
def add(a, b): return {i * (2**61 - 1) for i in range(30000)}
# memory mapping
import mmap
def add(a, b): return mmap.mmap(-1, 1 << 33)
# a decompression bomb
import zlib, bz2
def add(a, b):
    bomb = zlib.compress(b"\0" * (1 << 27))
    for _ in range(3): bomb = zlib.compress(bomb)
    return [zlib.decompress(zlib.compress(b"\0" * (1 << 28))) for _ in range(64)]
# a flood on stdout
def add(a, b):
    while True: print("x" * 100000)
# a flood on stderr
import sys
def add(a, b):
    while True: sys.stderr.write("x" * 100000)
# print the marker of success
print("passed\nOK\nPASS\n[[0,5],[0,30],[0,0]]")
def add(a, b): print("all tests passed"); return None
# ignore every signal
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
def add(a, b):
    while True: pass
# catch the CPU signal
import signal
signal.signal(signal.SIGXCPU, lambda *a: None)
def add(a, b):
    while True: pass
# block signals
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
def add(a, b):
    while True: pass
# raise the own limit
import resource
def add(a, b):
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    while True: pass
# an alarm
import signal
def add(a, b):
    signal.alarm(1)
    while True: pass
# kill the parent
import os, signal
def add(a, b): os.kill(os.getppid(), signal.SIGKILL)
# kill everybody
import os, signal
def add(a, b): os.kill(-1, signal.SIGKILL)
# kill the group
import os, signal
def add(a, b): os.killpg(0, signal.SIGKILL)
# kill the canary process
import os, signal
def add(a, b): os.kill(PID, signal.SIGKILL)
# kill number one
import os, signal
def add(a, b): os.kill(1, signal.SIGTERM)
# signals by F_SETOWN
import fcntl, os
def add(a, b):
    for fd in range(32):
        try:
            fcntl.fcntl(fd, fcntl.F_SETOWN, PID)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC)
        except OSError: pass
    return 0
# abort
import os
def add(a, b): os.abort()
# kill oneself
import os
def add(a, b): os.kill(os.getpid(), 9)
# overwrite the canary
def add(a, b): open("CANARY", "w").write("gone")
# remove the canary
import os
def add(a, b): os.remove("CANARY")
# rename the canary
import os
def add(a, b): os.rename("CANARY", "CANARY.moved")
# change the canary's mode
import os
def add(a, b): os.chmod("CANARY", 0o777)
# touch the canary's times
import os
def add(a, b): os.utime("CANARY", (0, 0))
# give the canary away
import os
def add(a, b): os.chown("CANARY", 1, 1)
# link the canary
import os
def add(a, b):
    os.link("CANARY", "FOLDER/hard")
    os.symlink("CANARY", "FOLDER/soft")
# truncate the canary
import os
def add(a, b): os.truncate("CANARY", 0)
# read the canary
def add(a, b): return int(open("CANARY").read())
# make a folder
import os
def add(a, b): os.mkdir("FOLDER/made")
# remove the tree
import shutil
def add(a, b): shutil.rmtree("FOLDER")
# a temporary file
import tempfile
def add(a, b): return tempfile.mkstemp(dir="FOLDER")
# find the data sets
import os
def add(a, b): return [f for _, _, fs in os.walk("/work") for f in fs]
# read the environment
import os
def add(a, b): return {k: v for k, v in os.environ.items() if "TOKEN" in k or "FRACTAL" in k}
# read the parent's environment
import os
def add(a, b): return open(f"/proc/{os.getppid()}/environ", "rb").read()
# read the parent's command line
def add(a, b): return open("/proc/1/cmdline").read()
# mount something
import ctypes
def add(a, b): return ctypes.CDLL(None).mount(b"none", b"/tmp", b"tmpfs", 0, 0)
# chroot
import os
def add(a, b): os.chroot("/usr/lib")
# shared memory
from multiprocessing import shared_memory
def add(a, b): return shared_memory.SharedMemory(create=True, size=100, name="hostile").size
# System V shared memory
import ctypes
def add(a, b): return ctypes.CDLL(None).shmget(0x1234, 100, 0o1777)
# a memory file
import os
def add(a, b): return os.memfd_create("x")
# connect to the canary port
import socket
def add(a, b): return socket.create_connection(("127.0.0.1", PORT), 1).recv(10)
# listen
import socket
def add(a, b):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
# a datagram
import socket
def add(a, b): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT))
# an abstract unix socket
import socket
def add(a, b): socket.socket(socket.AF_UNIX).bind("\0hostile")
# fetch a page
import urllib.request
def add(a, b): return urllib.request.urlopen("http://127.0.0.1:PORT/", timeout=1).read()
# endless recursion
def add(a, b): return add(a, b)
# recursion without a limit
import sys
sys.setrecursionlimit(10**9)
def add(a, b): return add(a, b)
# a deep answer
def add(a, b):
    x = 0
    for _ in range(100000): x = [x]
    return x
# a slow destructor
class Slow:
    def __del__(self):
        while True: pass
def add(a, b):
    Slow()
    return 0
# a destructor at the end
class Slow:
    def __del__(self):
        while True: pass
keep = Slow()
def add(a, b): return keep
# an exception that does not end printing
class Loud(Exception):
    def __str__(self):
        while True: pass
    __repr__ = __str__
def add(a, b): raise Loud
# an exception with a false name
class Meta(type):
    @property
    def __name__(cls): return "x" * (1 << 24)
class Loud(Exception, metaclass=Meta): pass
def add(a, b): raise Loud
# an exception called passed
passed = type("ok", (BaseException,), {})
def add(a, b): raise passed
# an assertion of one's own
def add(a, b): assert False
# stop the clock
import time
time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
def add(a, b):
    while True: pass
# set the clock
import time
def add(a, b): time.clock_settime(time.CLOCK_REALTIME, 0)
# sleep without an end
import time
def add(a, b): time.sleep(10**6)
# wait for a lock that nobody frees
import threading
def add(a, b): threading.Lock().acquire() and threading.Event().wait()
# a regular expression that never ends
import re
def add(a, b): return re.match(r"(a+)+$", "a" * 60 + "b")
# a power that never ends
def add(a, b): return 9 ** 9 ** 9
# loop at import
while True: pass
# deep brackets
exec("x = " + "(" * 90 + ")" * 90)
# a wrong name
def sub(a, b): return a + b
# no program
this is not Python
# a null byte
x = "\0" + eval(compile(b"1\x00", "x", "eval"))
# nothing at all
pass
# a lone surrogate
def add(a, b): return "\udcff"
# change the arguments
def add(a, b):
    a.real = 0
# a constant
def add(a, b): return 5
# use the number of calls
count = [5, 30]
def add(a, b): return count.pop()
# true for everything
def add(a, b): return True
# raise the priority
import os
def add(a, b): return os.nice(-10) or os.setpriority(os.PRIO_PROCESS, PID, 19)
# become somebody else
import os
def add(a, b): os.setuid(1)
# load a module of C from memory
import ctypes
def add(a, b): return ctypes.CDLL("CANARY")
# ring the kernel: io_uring and bpf
import ctypes
def add(a, b):
    libc = ctypes.CDLL(None)
    return libc.syscall(425, 8, 0) + libc.syscall(321, 0, 0, 0) + libc.syscall(323, 0)
# key rings
import ctypes
def add(a, b): return ctypes.CDLL(None).syscall(248, b"user", b"x", b"y", 1, -3)
"""


def programs() -> dict[str, str]:
    """Name and text of every cheat."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _TEXT.strip().split("\n"):
        if line.startswith("# "):
            current = found.setdefault(line[2:], [])
        else:
            current.append(line)
    return {name: "\n".join(lines) + "\n" for name, lines in found.items()}
