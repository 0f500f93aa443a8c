/**
 * @file Tells Node's test runner which test is running by an AsyncLocalStorage. The runner itself hooks into every promise, which
 * takes a fifth of the processor time of tests that train, and two thirds for those that mostly wait.
 */
import asyncHooks, { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

const { createHook, executionAsyncId } = asyncHooks;
const { runInAsyncScope } = AsyncResource.prototype;
const running = new AsyncLocalStorage();

// The runner takes both functions when it is loaded, and makes its only hook when the first test is declared.
asyncHooks.executionAsyncId = () => running.getStore() ?? executionAsyncId();
asyncHooks.createHook = ({ init }) => {
  Object.assign(asyncHooks, { createHook, executionAsyncId });
  AsyncResource.prototype.runInAsyncScope = function (run, ...call) {
    // Only tests, suites and their hooks have these properties.
    if (!("harness" in this && "passed" in this)) return runInAsyncScope.call(this, run, ...call);
    const id = this.asyncId();
    init(id, "Test", 0, this);
    // The store is set inside the scope, since a scope starts with the stores with which its resource was made.
    const inStore = function (...given) {
      return running.run(id, () => run.apply(this, given));
    };
    return runInAsyncScope.call(this, inStore, ...call);
  };
  const hook = { enable: () => hook, disable: () => hook };
  return hook;
};
