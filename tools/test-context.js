/**
 * @file Tells Node's test runner which test is running by a store that follows what is awaited. Its own way is a hook into every
 * promise, which takes a fifth of the processor time of tests that train, and two thirds of those that mostly wait.
 */
import asyncHooks, { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

const { createHook, executionAsyncId } = asyncHooks;
const { runInAsyncScope } = AsyncResource.prototype;
const running = new AsyncLocalStorage();

// The runner takes both functions when it is loaded, and makes its one hook when the first test is declared.
asyncHooks.executionAsyncId = () => running.getStore() ?? executionAsyncId();
asyncHooks.createHook = ({ init }) => {
  Object.assign(asyncHooks, { createHook, executionAsyncId });
  AsyncResource.prototype.runInAsyncScope = function (run, ...call) {
    // Tests, suites and what runs before and after them.
    if (!("harness" in this && "passed" in this)) return runInAsyncScope.call(this, run, ...call);
    const id = this.asyncId();
    init(id, "Test", 0, this);
    // Inside, as a scope begins with the stores that its resource was made with.
    const inStore = function (...given) {
      return running.run(id, () => run.apply(this, given));
    };
    return runInAsyncScope.call(this, inStore, ...call);
  };
  const hook = { enable: () => hook, disable: () => hook };
  return hook;
};
