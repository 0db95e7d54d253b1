"""What can go wrong on the way to a host, named by what the caller does next.

HostError (remote.host)
├── Unreachable          wait and try again
│   ├── NoWay              no address, refused, no answer in time, a jump that hangs
│   └── ConnectionLost     it was there; what ran there goes on
└── SshRefused           only a person can mend it
    ├── BadSshConfig
    ├── HostKeyUnknown     nobody has agreed to this key
    ├── HostKeyChanged     stop: another machine answers
    ├── LoginRefused
    └── TooOld             the server speaks nothing that is still safe
"""

from __future__ import annotations

from remote.host import HostError, Unreachable


class NoWay(Unreachable):
    pass


class ConnectionLost(Unreachable):
    pass


class SshRefused(HostError):
    """The message ends with what to do."""


class BadSshConfig(SshRefused):
    pass


class HostKeyUnknown(SshRefused):
    pass


class HostKeyChanged(SshRefused):
    pass


class LoginRefused(SshRefused):
    pass


class TooOld(SshRefused):
    pass
