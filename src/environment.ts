/** @file Variables of the environment, as they are handed to what reads them. */

/** Values by name, as `process.env` has them: a type of our own, since a program may lack those of Node. */
export type Environment = Readonly<Record<string, string | undefined>>;
