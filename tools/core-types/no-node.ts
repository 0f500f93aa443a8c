/** @file Fails to compile when a package brings in the types of Node: then uses of Node would not be found. */

// @ts-expect-error There is no such name in a browser.
export type NoNode = typeof process;
