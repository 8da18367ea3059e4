"""python.py - the same questions for Python's asyncio, on its own loop or on uvloop.
usage: python.py asyncio|uvloop QUESTION
"""
import asyncio
import os
import queue
import random
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

PEER, QUESTION = sys.argv[1], sys.argv[2]


def say(name, value, unit, digits=0):
    print(f"{name}\t{PEER}\t{value:.{digits}f}\t{unit}", flush=True)


async def task_spawn():
    n, batch = 200_000, 10_000

    async def task(i):
        return i
    start = time.perf_counter()
    for i in range(n):
        await asyncio.create_task(task(i))
    say("task_spawn.one", n / (time.perf_counter() - start), "tasks/s")
    start = time.perf_counter()
    for _ in range(n // batch):
        await asyncio.gather(*[asyncio.create_task(task(i)) for i in range(batch)])
    say("task_spawn.batch", n / (time.perf_counter() - start), "tasks/s")


async def task_switch():
    n = 1_000_000

    async def task(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
    for count in (2, 1000):
        start = time.perf_counter()
        await asyncio.gather(*[task(n // count) for _ in range(count)])
        say(f"task_switch.{count}", n / (time.perf_counter() - start), "switches/s")


async def task_await():
    n, loop, future = 300_000, asyncio.get_running_loop(), None

    async def waiter():
        nonlocal future
        for _ in range(n):
            future = loop.create_future()
            await future

    async def setter():
        for i in range(n):
            future.set_result(i)
            await asyncio.sleep(0)
    start = time.perf_counter()
    await asyncio.gather(waiter(), setter())
    say("task_await", n / (time.perf_counter() - start), "awaits/s")


async def task_cancel():
    n, batch, spent = 100_000, 10_000, 0
    for _ in range(n // batch):
        tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(batch)]
        await asyncio.sleep(0)
        start = time.perf_counter()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        spent += time.perf_counter() - start
    say("task_cancel", n / spent, "tasks/s")


async def timers():
    n = 1_000_000

    async def task():
        await asyncio.sleep(random.random())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(task())
    say("timers.wall", time.perf_counter() - start, "s", 3)
    say("timers.peak", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / n, "bytes/task")


async def timeout_scope():
    n = 200_000

    async def bare():
        await asyncio.sleep(0)

    async def scoped():
        async with asyncio.timeout(10):
            await asyncio.sleep(0)

    async def measure(f):
        start = time.perf_counter()
        for _ in range(n):
            await f()
        return time.perf_counter() - start
    say("timeout_scope", (await measure(scoped) - await measure(bare)) / n * 1e9, "ns")


async def queue_pingpong():
    n, there, back = 200_000, asyncio.Queue(1), asyncio.Queue(1)

    async def ping():
        for i in range(n):
            await there.put(i)
            await back.get()

    async def pong():
        for _ in range(n):
            await back.put(await there.get())
    start = time.perf_counter()
    await asyncio.gather(ping(), pong())
    say("queue_pingpong", n / (time.perf_counter() - start), "roundtrips/s")


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo_throughput():
    async def handle(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    if PEER == "uvloop":                              # its fastest: callbacks, no task for a connection
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=512)
    else:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def files_small():
    files, at_once, data = 20_000, 64, b"x" * 4096
    folder = tempfile.mkdtemp(dir=os.environ.get("BENCH_FILES", "/dev/shm"))

    def put(path):
        with open(path, "wb", buffering=0) as file:
            file.write(data)

    def get(path):
        with open(path, "rb", buffering=0) as file:
            assert len(file.read()) == 4096

    async def every(f):
        names = iter(range(files))

        async def worker():
            for i in names:
                await asyncio.to_thread(f, f"{folder}/{i}")
        start = time.perf_counter()
        await asyncio.gather(*[worker() for _ in range(at_once)])
        return files / (time.perf_counter() - start)
    say("files_small.write", await every(put), "files/s")
    say("files_small.read", await every(get), "files/s")
    shutil.rmtree(folder)


async def processes():
    n = 1000

    async def run():
        process = await asyncio.create_subprocess_exec("/bin/true")
        await process.wait()

    async def some(count):
        for _ in range(count):
            await run()
    start = time.perf_counter()
    await some(n)
    say("processes.one", n / (time.perf_counter() - start), "processes/s")
    start = time.perf_counter()
    await asyncio.gather(*[some(n // 16) for _ in range(16)])
    say("processes.16", n / (time.perf_counter() - start), "processes/s")


async def files_read():
    def read_once(file):
        return len(file.read(65536))

    async def read_all(path):
        total = 0
        with open(path, "rb", buffering=0) as file:
            while n := await asyncio.to_thread(read_once, file):
                total += n
        return total
    for name, path in (("disk", os.environ.get("BENCH_LARGE")), ("memory", os.environ.get("BENCH_LARGE_MEMORY"))):
        if path:
            start = time.perf_counter()
            total = await read_all(path)
            say(f"files_read.{name}", total / (time.perf_counter() - start) / 1e6, "MB/s")


async def files_lines():
    n, start = 0, time.perf_counter()
    with open(os.environ["BENCH_LARGE"]) as file:     # blocks: asyncio has no files
        for _ in file:
            n += 1
    say("files_lines", n / (time.perf_counter() - start), "lines/s")


def echo(i):
    return i


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def two_threads():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))


async def threads_calls():
    two_threads()

    async def many(n, in_flight):
        left = n

        async def caller():
            nonlocal left
            while left > 0:
                left -= 1
                await asyncio.to_thread(echo, left)
        await asyncio.gather(*[caller() for _ in range(in_flight)])

    await many(1000, 64)
    for name, n, in_flight in (("64", 20000, 64), ("one", 5000, 1)):
        start = time.perf_counter()
        await many(n, in_flight)
        say(f"threads_calls.{name}", n / (time.perf_counter() - start), "calls/s")


async def threads_fib():
    two_threads()

    def four():
        start = time.perf_counter()
        for _ in range(4):
            fib(25)
        return time.perf_counter() - start
    in_line, start = four(), time.perf_counter()
    await asyncio.gather(*[asyncio.to_thread(fib, 25) for _ in range(8)])
    at_once = time.perf_counter() - start
    say("threads_fib", (in_line + four()) / at_once, "times", 2)


async def threads_channel():
    two_threads()
    n, channel = 100_000, queue.Queue(1024)

    def send():
        for i in range(n):
            channel.put((i, "text"))

    def receive():
        for _ in range(n):
            channel.get()
    start = time.perf_counter()
    await asyncio.gather(asyncio.to_thread(send), asyncio.to_thread(receive))
    say("threads_channel", n / (time.perf_counter() - start), "messages/s")


if QUESTION in globals():
    if PEER == "uvloop":
        import uvloop
        uvloop.install()
    asyncio.run(globals()[QUESTION]())
