// `GET <prefix>/`: the endpoint document, which tells a client where the API stands and what it can do.
import { answerJson } from '../answers.js';
import type { Handler } from '../routes.js';

export const getMetadata: Handler = (call) => {
  const { metadata, readOnly } = call.settings;
  const { fallback, mirrors = [] } = metadata ?? {};
  answerJson(call.ctx, {
    endpoints: {
      v2: {
        version: '2',
        root: call.urls.root(),
        push: !readOnly,
        ...(fallback !== undefined && { fallback }),
        mirrors,
      },
    },
  });
};
