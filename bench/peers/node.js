// node.js - the same questions for Node: promises and its event loop.
// usage: node node.js QUESTION
// A switch goes through the event loop (setImmediate), as sleep(0) does; an await of a settled promise would not.
'use strict';
const fs = require('fs'), net = require('net'), path = require('path'), readline = require('readline');
const { setTimeout: sleep } = require('timers/promises');

const now = () => Number(process.hrtime.bigint()) / 1e9;
const say = (name, value, unit, digits = 0) => console.log(`${name}\tnode\t${value.toFixed(digits)}\t${unit}`);
const turn = () => new Promise(setImmediate);

class Queue {                                     // of one place; one waiter on each side is enough here
  items = []; getter = null; putter = null;
  async put(value) {
    while (this.items.length === 1) await new Promise(wake => { this.putter = wake; });
    this.items.push(value);
    if (this.getter) { const wake = this.getter; this.getter = null; wake(); }
  }
  async get() {
    while (this.items.length === 0) await new Promise(wake => { this.getter = wake; });
    const value = this.items.shift();
    if (this.putter) { const wake = this.putter; this.putter = null; wake(); }
    return value;
  }
}

const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2);

// Two threads that take calls in turn; fib as often as takes as long as in Lua.
function twoWorkers() {
  const { Worker } = require('worker_threads');
  const body = `const { parentPort } = require('worker_threads');
    const fib = ${fib};
    parentPort.on('message', ([what, x]) => {
      if (what === 'fib') for (let i = 0; i < 3; i++) fib(x);
      parentPort.postMessage(what === 'fib' ? fib(x) : x);
    });`;
  const workers = [0, 1].map(() => new Worker(body, { eval: true }));
  for (const worker of workers) {
    worker.waiting = [];
    worker.on('message', value => worker.waiting.shift()(value));
  }
  let next = 0;
  const call = (what, x) => new Promise(done => {
    const worker = workers[next++ % 2];
    worker.waiting.push(done);
    worker.postMessage([what, x]);
  });
  return { call, end: () => workers.forEach(worker => worker.terminate()) };
}

const questions = {
  async task_spawn() {
    const n = 1e6, batch = 1e4;
    const task = async i => { await null; return i; };   // suspends once, as a task that is started later
    let start = now();
    for (let i = 0; i < n; i++) await task(i);
    say('task_spawn.one', n / (now() - start), 'tasks/s');
    start = now();
    for (let round = 0; round < n / batch; round++) await Promise.all(Array.from({ length: batch }, (_, i) => task(i)));
    say('task_spawn.batch', n / (now() - start), 'tasks/s');
  },

  async task_switch() {
    const n = 2e6;
    for (const count of [2, 1000]) {
      const task = async () => { for (let i = 0; i < n / count; i++) await turn(); };
      const start = now();
      await Promise.all(Array.from({ length: count }, task));
      say(`task_switch.${count}`, n / (now() - start), 'switches/s');
    }
  },

  async task_await() {
    const n = 1e6;
    let settle;
    const waiter = async () => { for (let i = 0; i < n; i++) await new Promise(f => { settle = f; }); };
    const setter = async () => { for (let i = 0; i < n; i++) { settle(i); await null; } };
    const start = now();
    await Promise.all([waiter(), setter()]);
    say('task_await', n / (now() - start), 'awaits/s');
  },

  async task_cancel() {
    const n = 50000, batch = 10000;
    let spent = 0;
    for (let round = 0; round < n / batch; round++) {
      const aborts = Array.from({ length: batch }, () => new AbortController());
      const tasks = aborts.map(abort => sleep(3600e3, null, { signal: abort.signal }));
      await turn();
      const start = now();
      for (const abort of aborts) abort.abort();
      await Promise.allSettled(tasks);
      spent += now() - start;
    }
    say('task_cancel', n / spent, 'tasks/s');
  },

  async timers() {
    const n = 1e6;
    const task = async () => { await new Promise(f => setTimeout(f, Math.random() * 1000)); };
    const before = process.resourceUsage().maxRSS, start = now();
    await Promise.all(Array.from({ length: n }, task));
    say('timers.wall', now() - start, 's', 3);
    say('timers.peak', (process.resourceUsage().maxRSS - before) * 1024 / n, 'bytes/task');
  },

  async timeout_scope() {                         // a race with a timer, its usual form
    const n = 500000;
    const bare = async () => { await turn(); };
    const scoped = async () => {
      let timer;
      const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error('late')), 10000); });
      await Promise.race([turn(), late]);
      clearTimeout(timer);
    };
    const measure = async f => {
      const start = now();
      for (let i = 0; i < n; i++) await f();
      return now() - start;
    };
    say('timeout_scope', (await measure(scoped) - await measure(bare)) / n * 1e9, 'ns');
  },

  async queue_pingpong() {
    const n = 1e6, there = new Queue(), back = new Queue();
    const ping = async () => { for (let i = 0; i < n; i++) { await there.put(i); await back.get(); } };
    const pong = async () => { for (let i = 0; i < n; i++) await back.put(await there.get()); };
    const start = now();
    await Promise.all([ping(), pong()]);
    say('queue_pingpong', n / (now() - start), 'roundtrips/s');
  },

  echo_throughput() {
    const server = net.createServer({ noDelay: true }, socket => {
      socket.on('data', data => socket.write(data));
      socket.on('error', () => {});
    });
    server.listen({ port: 0, host: '127.0.0.1', backlog: 512 }, () => console.log(server.address().port));
  },

  async files_small() {
    const files = 20000, atOnce = 64, data = Buffer.alloc(4096, 'x');
    const dir = fs.mkdtempSync(path.join(process.env.BENCH_FILES || '/dev/shm', 'node-bench-'));
    const every = async f => {
      let taken = 0;
      const worker = async () => { while (taken < files) await f(`${dir}/${taken++}`); };
      const start = now();
      await Promise.all(Array.from({ length: atOnce }, worker));
      return files / (now() - start);
    };
    say('files_small.write', await every(name => fs.promises.writeFile(name, data)), 'files/s');
    say('files_small.read', await every(name => fs.promises.readFile(name)), 'files/s');
    fs.rmSync(dir, { recursive: true });
  },

  async files_read() {
    const readAll = async path => {
      let total = 0;
      for (let i = 0; i < 4; i++)
        for await (const piece of fs.createReadStream(path, { highWaterMark: 65536 })) total += piece.length;
      return total;
    };
    const paths = { disk: process.env.BENCH_LARGE, memory: process.env.BENCH_LARGE_MEMORY };
    for (const name in paths) {
      if (!paths[name]) continue;
      await readAll(paths[name]);
      const start = now(), total = await readAll(paths[name]);
      say(`files_read.${name}`, total / (now() - start) / 1e6, 'MB/s');
    }
  },

  async files_lines() {
    const count = async () => {
      let n = 0;
      for await (const _ of readline.createInterface({ input: fs.createReadStream(process.env.BENCH_LARGE) })) n++;
      return n;
    };
    const start = now(), n = await count();
    say('files_lines', n / (now() - start), 'lines/s');
  },

  async threads_calls() {
    const { call, end } = twoWorkers();
    const many = async (n, inFlight) => {
      const caller = async () => { while (n > 0) await call('echo', n--); };
      await Promise.all(Array.from({ length: inFlight }, caller));
    };
    await many(1000, 64);
    for (const [name, n, inFlight] of [['64', 100000, 64], ['one', 20000, 1]]) {
      const start = now();
      await many(n, inFlight);
      say(`threads_calls.${name}`, n / (now() - start), 'calls/s');
    }
    end();
  },

  async threads_fib() {
    const { call, end } = twoWorkers();
    const four = () => {
      const start = now();
      for (let i = 0; i < 4; i++) for (let j = 0; j < 4; j++) fib(32);
      return now() - start;
    };
    const eight = n => Promise.all(Array.from({ length: 8 }, () => call('fib', n)));
    await eight(1);
    let inLine = four();
    const start = now();
    await eight(32);
    const atOnce = now() - start;
    inLine += four();
    say('threads_fib', inLine / atOnce, 'times', 2);
    end();
  },

  async threads_channel() {
    const { Worker, MessageChannel } = require('worker_threads');
    const n = 100000, { port1, port2 } = new MessageChannel();
    const sender = new Worker(`const { parentPort } = require('worker_threads');
      parentPort.once('message', ({ port, n }) => {
        for (let i = 0; i < n; i++) port.postMessage([i, 'text']);
      });`, { eval: true });
    const receiver = new Worker(`const { parentPort } = require('worker_threads');
      parentPort.once('message', ({ port, n }) => {
        port.on('message', () => { if (--n === 0) { port.close(); parentPort.postMessage('done'); } });
        parentPort.postMessage('ready');
      });`, { eval: true });
    const told = () => new Promise(done => receiver.once('message', done));
    receiver.postMessage({ port: port2, n }, [port2]);
    await told();
    const start = now();
    sender.postMessage({ port: port1, n }, [port1]);
    await told();
    say('threads_channel', n / (now() - start), 'messages/s');
    sender.terminate();
    receiver.terminate();
  },
};

if (questions[process.argv[2]]) questions[process.argv[2]]();
