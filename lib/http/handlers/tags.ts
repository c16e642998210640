// `GET /v2/<name>/tags/list`.
import { answerJson } from '../answers.js';
import { linkNext, pageSize } from '../paging.js';
import type { Handler } from '../routes.js';

export const getTags: Handler = async (call) => {
  const n = pageSize(call, call.settings.maxTags);
  const { items, more } = await call.services.tags.list(call.repository, n, call.query('last'));
  const last = items.at(-1);
  if (more && last !== undefined) linkNext(call, last, n);
  answerJson(call.ctx, { name: call.repository, tags: items });
};
