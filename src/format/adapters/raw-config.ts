/** @file Reading an `adapter_config.json` key by key, so that what nobody knows is what is left. */

/** Takes keys out of a configuration: gives their value, undefined for null, and removes them. */
export function takeFrom(raw: Record<string, unknown>): (key: string) => unknown {
  return (key) => {
    const value = raw[key];
    delete raw[key];
    return value ?? undefined;
  };
}
