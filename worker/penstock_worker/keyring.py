"""The workers' private keys: what opens the keys that workspaces have sealed. Nobody else has them.

From `PENSTOCK_PRIVATE_KEYS` (base64, with commas between), else from a file with one a line, newest
first. A file that changes is read again, so that keys are rotated without a restart.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from penstock_client.sealing import (
    binding,
    ciphertext,
    decode_key,
    encode_key,
    sealed_to,
    sealing_id,
    suite,
)
from penstock_schemas.errors import ConfigurationError, PenstockError

logger = logging.getLogger("penstock.worker")

KEYS_VARIABLE = "PENSTOCK_PRIVATE_KEYS"
FILE_VARIABLE = "PENSTOCK_PRIVATE_KEYS_FILE"
#: The file in `PENSTOCK_HOME` where no other is named.
FILE_NAME = "private-keys"
_OPENED_MOST = 4096
_Stamp = tuple[int, int, int]


class CannotOpen(PenstockError):
    """A sealed key that no private key here opens; `sealing_key` names what it is sealed to."""

    def __init__(self, sealing_key: str) -> None:
        super().__init__(
            f"no private key here opens what is sealed to {sealing_key}: give this worker all of "
            f"{KEYS_VARIABLE} or {FILE_VARIABLE}"
        )
        self.sealing_key = sealing_key


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """One private key; it never shows in a repr."""

    key: X25519PrivateKey = field(repr=False)
    public: bytes

    @classmethod
    def new(cls) -> PrivateKey:
        """A key that nobody has had before."""
        return cls.of(X25519PrivateKey.generate())

    @classmethod
    def of(cls, key: X25519PrivateKey) -> PrivateKey:
        """With its public half."""
        return cls(key, key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str, *, variable: str) -> PrivateKey:
        """From base64; raises ConfigurationError that names where it stood and not what."""
        return cls.of(X25519PrivateKey.from_private_bytes(decode_key(text, variable=variable)))

    @property
    def id(self) -> str:
        """The name of the pair."""
        return sealing_id(self.public)

    @property
    def text(self) -> str:
        """The key itself, in base64, for its file."""
        return encode_key(self.key.private_bytes_raw())


class Keyring:
    """Private keys, newest first, and what they have opened. Nothing of it shows in a repr."""

    def __init__(self, keys: Sequence[PrivateKey] = (), *, file: Path | None = None) -> None:
        self._file = file
        self._stamp: _Stamp | None = None
        self._opened: dict[tuple[bytes, str, str], str] = {}
        self._take(keys)

    @classmethod
    def load(cls, variables: Mapping[str, str], *, home: Path) -> Keyring:
        """The keys of this process; none where neither variable nor file is there.

        Raises ConfigurationError for keys that are none, and for a file that is named and missing.
        """
        if text := variables.get(KEYS_VARIABLE):
            parts = [part for part in text.replace("\n", ",").split(",") if part.strip()]
            return cls([PrivateKey.parse(part, variable=KEYS_VARIABLE) for part in parts])
        file = key_file(variables, home=home)
        if FILE_VARIABLE in variables and not file.is_file():
            raise ConfigurationError(
                f"{FILE_VARIABLE}: {file} does not exist; `penstock keys generate` makes it"
            )
        stamp = _stamp_of(file)
        ring = cls(() if stamp is None else read_keys(file), file=file)
        ring._stamp = stamp
        return ring

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def newest(self) -> PrivateKey | None:
        """The key whose public half is to be sealed to."""
        return next(iter(self._keys.values()), None)

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the keys, newest first."""
        return tuple(self._keys)

    def refresh(self) -> bool:
        """Read the file again if it has changed; whether there are other keys now.

        One that is missing, empty or not to be read leaves everything as it is.
        """
        stamp = None if self._file is None else _stamp_of(self._file)
        if self._file is None or stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            keys = read_keys(self._file)
        except ConfigurationError as error:
            logger.warning("keyring.unreadable", extra={"reason": str(error)})
            return False
        if not keys or tuple(key.id for key in keys) == self.ids:
            return False
        self._take(keys)
        return True

    def open(self, sealed: bytes, *, workspace: str, provider: str) -> str:
        """The key that was sealed for this workspace and provider; raises CannotOpen."""
        known = self._opened.get((sealed, workspace, provider))
        if known is not None:
            return known
        found, body = self._keys.get(sealed_to(sealed)), ciphertext(sealed)
        if found is None or body is None:
            raise CannotOpen(sealed_to(sealed))
        try:
            opened = suite().decrypt(body, found.key, info=binding(workspace, provider))
        except (InvalidTag, ValueError):
            raise CannotOpen(sealed_to(sealed)) from None
        if len(self._opened) >= _OPENED_MOST:
            self._opened.clear()
        api_key = self._opened[sealed, workspace, provider] = opened.decode()
        return api_key

    def _take(self, keys: Sequence[PrivateKey]) -> None:
        self._keys = {key.id: key for key in keys}
        self._opened.clear()


def key_file(variables: Mapping[str, str], *, home: Path) -> Path:
    """Where the file with private keys is, or would be."""
    named = variables.get(FILE_VARIABLE)
    return Path(named).expanduser() if named else home / FILE_NAME


def read_keys(file: Path) -> list[PrivateKey]:
    """The keys of a file, newest first; lines with `#` are left out.

    Raises ConfigurationError that names file and line.
    """
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: must have one private key a line, in base64") from None
    return [
        PrivateKey.parse(line, variable=f"{file}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]


def write_keys(file: Path, keys: Sequence[PrivateKey]) -> None:
    """Put these keys into a file, at once and readable by its owner alone; raises OSError."""
    with _written(file, keys) as temporary:
        temporary.replace(file)


def ensure_key_file(file: Path) -> bool:
    """Make a file with one new key where there is none; whether it was made. Raises OSError."""
    if file.exists():
        return False
    with _written(file, [PrivateKey.new()]) as temporary:
        try:
            os.link(temporary, file)  # fails where somebody else was faster
        except FileExistsError:
            return False
    return True


@contextmanager
def _written(file: Path, keys: Sequence[PrivateKey]) -> Generator[Path]:
    """These keys in a file beside it, which is gone afterwards unless it was moved."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as written:
            written.writelines(f"{key.text}\n" for key in keys)
            written.flush()
            os.fsync(written.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _stamp_of(file: Path) -> _Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
