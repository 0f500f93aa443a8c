/** @file Fails to compile when a package brings the types of Node after all: then nothing would be checked. */

// @ts-expect-error There is no such name in a browser.
export type NoNode = typeof process;
