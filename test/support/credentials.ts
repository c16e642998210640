// Credentials of tests. Every password has `canary` in it, and no log of the whole run may have.
/** A password that would be found in any log. */
export function password(name: string): string {
  return `canary-${name}`;
}

/** The header of a login with a name and a password (RFC 7617). */
export function basic(user: string, pass: string): { readonly Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${user}:${pass}`).toString('base64')}` };
}

/** The header of a request with a token (RFC 6750). */
export function bearer(token: string): { readonly Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}
