/** @file The memory of compiled programs by number of nodes: ONNX Runtime's data about each node, and kernels. */

/** Bytes per node, and per node beyond the first thousands, most of which are alike: docs/log.md#plans-of-memory. */
const [NODE_BYTES, FURTHER_BYTES] = [20e3, 8.5e3];
const NUM_FIRST = 2000;

/** Bytes of so many nodes: blocks with experts or states, and steps that drop branches, have many. */
export function nodeBytes(numNodes: number): number {
  const numFirst = Math.min(numNodes, NUM_FIRST);
  return NODE_BYTES * numFirst + FURTHER_BYTES * (numNodes - numFirst);
}
