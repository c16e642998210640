// The few shapes that answers have.
import type { Context } from 'koa';

/** An answer without a body says so: `Content-Length: 0`, and no `Created` as text. */
export function answerEmpty(ctx: Context, status: 201 | 202 | 204 | 307): void {
  ctx.body = null;
  ctx.status = status;
  if (status !== 204) ctx.length = 0;
}

/** JSON of a given type; without a charset, which JSON does not have. */
export function answerJson(ctx: Context, value: unknown, type = 'application/json'): void {
  ctx.status = 200;
  ctx.set('Content-Type', type);
  ctx.body = JSON.stringify(value);
}

/** Whether `If-None-Match` names the content: quoted, weak, bare, in a list, or `*` (RFC 9110, section 13.1.2). */
export function isNotModified(header: string | undefined, digest: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((tag) => {
    const opaque = tag
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
    return opaque === '*' || opaque === digest;
  });
}
