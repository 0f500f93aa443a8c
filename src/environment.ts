/** @file Environment variables, as passed to the code that reads them. */

/** Values by name, like `process.env`; a type of our own, since a program may not have Node's types. */
export type Environment = Readonly<Record<string, string | undefined>>;
