// `GET /v2/_catalog`: the repositories that the caller may pull.
import type { RepositoryName } from '../../model/repository-name.js';
import { takePage } from '../../services/page.js';
import { answerJson } from '../answers.js';
import type { Call } from '../call.js';
import { mayAlso, OPEN, pullScope } from '../grants.js';
import { linkNext, pageSize } from '../paging.js';
import type { Handler } from '../routes.js';

export const getCatalog: Handler = async (call) => {
  const n = pageSize(call, call.settings.maxRepositories);
  const { items, more } = await takePage(visible(call), n);
  const last = items.at(-1);
  if (more && last !== undefined) linkNext(call, last, n);
  answerJson(call.ctx, { repositories: items });
};

/** Without the capability to say, whoever may read the catalogue sees all of it. */
async function* visible(call: Call): AsyncGenerator<RepositoryName, void, void> {
  const { grant } = call;
  for await (const name of call.services.catalog.names(call.query('last'))) {
    const shown = grant === OPEN || grant.allows === undefined || (await mayAlso(grant, pullScope(name)));
    if (shown) yield name;
  }
}
