/** @file How long this process has worked: on a busy machine it may wait for any time. */

/** Milliseconds of all its threads on processors. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
