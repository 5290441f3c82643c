"""An asyncio server asks who its client is: borrow() works on a descriptor that belongs to somebody else."""

import asyncio
import os
import tempfile

from uds_cffi import UnixStream


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet a client by what the kernel says of it."""
    with UnixStream.borrow(writer.get_extra_info("socket")) as stream:
        peer = stream.peer_credentials()
    # asyncio's own socket is as it was: borrow() never closes.
    writer.write(f"pid {peer.pid}, uid {peer.euid}, gid {peer.egid}\n".encode())
    await writer.drain()
    writer.close()


async def run(path: str) -> None:
    """Serve one client and be that client."""
    server = await asyncio.start_unix_server(serve, path)
    async with server:
        reader, writer = await asyncio.open_unix_connection(path)
        answer = (await reader.readline()).decode().strip()
        writer.close()
        await writer.wait_closed()
    print(f"the server knows this process: {answer == f'pid {os.getpid()}, uid {os.geteuid()}, gid {os.getegid()}'}")


def main() -> None:
    """Run the event loop."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(os.path.join(folder, "async.socket")))


if __name__ == "__main__":
    main()
