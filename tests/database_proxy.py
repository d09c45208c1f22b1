"""DatabaseProxy: a TCP proxy in front of PostgreSQL that stalls, drops packets, loses a reply, counts transactions."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading

from psycopg.conninfo import conninfo_to_dict, make_conninfo

# ReadyForQuery outside a transaction: what was sent is committed, whether by COMMIT or by itself.
_OUTSIDE_TRANSACTION = b"Z\x00\x00\x00\x05I"
_LONGEST_MARKER = 200
# Linux: asm-generic/socket.h, and the classic BPF program "return 0", which keeps nothing of a packet.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)


class DatabaseProxy:
    """Forwards bytes between workers and the server, in a thread for each direction."""

    def __init__(self, conninfo: str) -> None:
        self._parameters = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = threading.Event()
        self._open.set()
        self._closing = False
        self._marker: bytes | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._clients: list[socket.socket] = []
        self.replies_lost = 0
        self.transactions_ended = 0
        self._acceptor = threading.Thread(target=self._accept, name="database-proxy", daemon=True)
        self._acceptor.start()

    def environment(self) -> dict[str, str]:
        """Return what makes a process connect through this proxy."""
        port = self._listener.getsockname()[1]
        through = {**self._parameters, "host": "127.0.0.1", "port": str(port), "sslmode": "disable"}
        return {"DATABASE_URL": make_conninfo(**through)}

    def stall(self) -> None:
        """Forward nothing any more, and keep the connections open: a network that swallows packets."""
        self._open.clear()

    def resume(self) -> None:
        """Forward again what has been waiting."""
        self._open.set()

    def swallow(self, *, new_connections: bool) -> None:
        """Drop every packet of the connections that are open, before TCP can acknowledge it: nobody is told.

        ``new_connections``: of those to come as well, until ``end_swallowing()``, as when the network is gone;
        else they pass, as when a firewall has forgotten connections, or an address has moved to another host.
        """
        for client in self._clients:
            with contextlib.suppress(OSError):
                _swallow_packets(client)
        if new_connections:
            _swallow_packets(self._listener)

    def end_swallowing(self) -> None:
        """Let new connections pass again; those that were open stay dead."""
        self._listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def lose_reply_to_commit_after(self, marker: bytes) -> None:
        """Cut the next connection that commits after having sent ``marker``, once the server has committed."""
        with self._lock:
            self._marker = marker

    def close(self) -> None:
        """Cut every connection."""
        self._closing = True
        self._open.set()
        self._listener.close()
        for one in self._sockets:
            _cut(one)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _address = self._listener.accept()
                server = self._connect()
            except OSError:
                return
            self._sockets += [client, server]
            self._clients.append(client)
            connection = _Connection(client, server)
            for pump in (self._to_server, self._to_client):
                threading.Thread(target=pump, args=(connection,), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._parameters.get("host", ""), int(self._parameters.get("port", "5432"))
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((host or "127.0.0.1", port))

    def _to_server(self, connection: _Connection) -> None:
        sent = b""
        with contextlib.suppress(OSError):
            while data := connection.client.recv(65536):
                self._open.wait()
                sent = sent[-_LONGEST_MARKER:] + data
                connection.marked |= self._marker is not None and self._marker in sent
                connection.server.sendall(data)
        connection.cut()

    def _to_client(self, connection: _Connection) -> None:
        received = b""
        with contextlib.suppress(OSError):
            while data := connection.server.recv(65536):
                self._open.wait()
                received = received[1 - len(_OUTSIDE_TRANSACTION) :] + data
                with self._lock:
                    self.transactions_ended += received.count(_OUTSIDE_TRANSACTION)
                if connection.marked and _OUTSIDE_TRANSACTION in data and self._take_marker():
                    self.replies_lost += 1
                    break
                connection.client.sendall(data)
        connection.cut()

    def _take_marker(self) -> bool:
        with self._lock:
            taken, self._marker = self._marker is not None, None
            return taken


class _Connection:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.marked = False
        """Whether the client has sent the marker."""

    def cut(self) -> None:
        _cut(self.client)
        _cut(self.server)


def _swallow_packets(of: socket.socket) -> None:
    program = ctypes.create_string_buffer(_KEEP_NOTHING)
    of.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def _cut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
    connected.close()
