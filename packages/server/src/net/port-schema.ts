import Type, { type TInteger } from 'typebox';

/** For sections of the configuration: a key that is not in the schema is an error. */
export const strict = { additionalProperties: false };

export const ifTaken = 'When this default port is taken, the listener is off, with a warning.';

/** A key of the configuration that holds a port to listen on. */
export function portSchema(defaultPort: number, description: string): TInteger {
  return Type.Integer({
    default: defaultPort,
    minimum: -1,
    maximum: 65_535,
    description: `${description} 0: the system chooses; -1: off.`,
  });
}
