/**
 * @file Ends what a file of tests has begun, also where a test of it fails: the processes that it started end with it, and it
 * ends itself three minutes after its last test, whatever is still open. Else the whole run would wait for them.
 */
import { ChildProcess } from "node:child_process";
import { after } from "node:test";
import { isMainThread } from "node:worker_threads";

/** Time to close what tests of a file have in common; none takes as long, not even on a busy machine. */
const CLOSE_MS = 180_000;

/** Has all processes that this one starts from now on end with it. */
function endChildren() {
  const living = new Set();
  const { spawn } = ChildProcess.prototype;
  ChildProcess.prototype.spawn = function (...given) {
    const fault = spawn.apply(this, given);
    living.add(this);
    this.once("exit", () => living.delete(this));
    return fault;
  };
  const end = () => {
    for (const child of living) child.kill("SIGKILL");
  };
  process.on("exit", end);
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"]) {
    const onSignal = () => {
      // Where a test listens too, the signal is for the test.
      if (process.listenerCount(signal) > 1) return;
      end();
      process.off(signal, onSignal);
      process.kill(process.pid, signal);
    };
    process.on(signal, onSignal);
  }
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

// Only where the runner runs a file.
if (process.env.NODE_TEST_CONTEXT && isMainThread) {
  endChildren();
  endAfterTests();
}
