/** @file The processor time of this process, which does not grow while a busy machine makes it wait. */

/** Processor time of all threads of this process, in milliseconds. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
