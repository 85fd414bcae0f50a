const shape = /^Bearer +([^\s]+)\s*$/i;

/**
 * The token of an `Authorization` field (RFC 6750 §2.1); `undefined` where the field is absent or of another scheme.
 */
export function bearerToken(authorization: string | null | undefined): string | undefined {
  return shape.exec(authorization ?? '')?.[1];
}
