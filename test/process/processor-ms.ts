/** @file How long this process has worked: what a bound of time is held to, as a busy machine may let it wait for any time. */

/** Milliseconds of all its threads on processors. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
