/**
 * @file Cleans up after a test file, even if a test fails: the processes that it started end with it, however it ends, and it ends
 * itself three minutes after its last test, whatever is still open. Otherwise the whole run would wait for them.
 */
import { ChildProcess, spawn } from "node:child_process";
import { after } from "node:test";
import { isMainThread } from "node:worker_threads";

/** Time to close what the tests of a file share; none needs that long, even on a busy machine. */
const CLOSE_MS = 180_000;

/**
 * Reads lines of process ids until their writer is gone, and ends those of the last line. It is a separate process, since this
 * one may be killed, and cannot handle signals while it computes.
 */
const REAPER = `trap "" HUP INT TERM; while read -r line; do last=$line; done; [ -z "$last" ] || kill -KILL $last`;

/** Makes all processes that this one starts from now on end with it. */
function endChildren() {
  const living = new Set();
  const { spawn: begin } = ChildProcess.prototype;
  let reaper = null;
  const startReaper = () => {
    ChildProcess.prototype.spawn = begin;
    const started = spawn("/bin/sh", ["-c", REAPER], { stdio: ["pipe", "ignore", "ignore"] });
    ChildProcess.prototype.spawn = beginNoted;
    // Without such a shell, they are not ended.
    for (const each of [started, started.stdin]) each.on("error", () => {}).unref();
    return started;
  };
  const tell = () => {
    reaper ??= startReaper();
    reaper.stdin.write(`${[...living].map(({ pid }) => pid).join(" ")}\n`);
  };
  function beginNoted(...given) {
    const fault = begin.apply(this, given);
    if (this.pid === undefined) return fault;
    living.add(this);
    tell();
    this.once("exit", () => {
      living.delete(this);
      tell();
    });
    return fault;
  }
  ChildProcess.prototype.spawn = beginNoted;
}

/** Ends this process some time after its last test, as failed, if something keeps it. */
function endAfterTests() {
  after(() => {
    const end = () => {
      console.error(`After the last test this is still open: ${process.getActiveResourcesInfo().join(", ")}`);
      process.exit(1);
    };
    setTimeout(end, CLOSE_MS).unref();
  });
}

// Only in a process of the test runner that runs a file.
if (process.env.NODE_TEST_CONTEXT && isMainThread) {
  endChildren();
  endAfterTests();
}
